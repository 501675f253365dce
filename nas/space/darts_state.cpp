// Tensors of DARTS networks: how many numbers, under which names.
#include "nas/space/darts_net.h"

namespace nascent::darts {

std::int64_t Layer::weights() const {
    if (kind != LayerKind::conv && kind != LayerKind::linear) return 0;
    return std::int64_t{out} * (in / groups) * kernel.h * kernel.w;
}

std::int64_t Layer::parameters() const {
    if (kind == LayerKind::batch_norm) return affine ? 2 * std::int64_t{out} : 0;
    return weights() + (kind == LayerKind::linear ? out : 0);
}

std::int64_t parameter_count(const Net& net) {
    std::int64_t n = 0;
    for (const Layer& l : net.layers) n += l.parameters();
    return n;
}

std::vector<StateEntry> state_entries(const Net& net) {
    std::vector<StateEntry> entries;
    for (std::size_t i = 0; i < net.layers.size(); ++i) {
        const Layer& l = net.layers[i];
        auto add = [&](const char* leaf, std::vector<std::int64_t> shape, bool trained, bool int64 = false) {
            entries.push_back({l.name + leaf, std::move(shape), trained, int64, static_cast<int>(i)});
        };
        if (l.kind == LayerKind::conv) {
            add(".weight", {l.out, l.in / l.groups, l.kernel.h, l.kernel.w}, true);
        } else if (l.kind == LayerKind::linear) {
            add(".weight", {l.out, l.in}, true);
            add(".bias", {l.out}, true);
        } else if (l.kind == LayerKind::batch_norm) {
            if (l.affine) add(".weight", {l.out}, true);
            if (l.affine) add(".bias", {l.out}, true);
            add(".running_mean", {l.out}, false);
            add(".running_var", {l.out}, false);
            add(".num_batches_tracked", {}, false, true);
        }
    }
    return entries;
}

}  // namespace nascent::darts
