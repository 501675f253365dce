#include "nas/space/chain_net.h"

#include "engine/base/error.h"
#include "nas/space/chain_layers.h"

namespace nascent::chain {
namespace {

/// The fixed MBConv behind the first convolution of MobileNets: expansion 1, 3x3.
constexpr Op kFixed{0, "mb_k3e1", OpKind::mbconv, 3, 1};

Block fixed_block(const Space& s) {
    return {.index = -1,
            .stage = -1,
            .place = 0,
            .in = s.stem,
            .out = s.stem_out,
            .stride = 1,
            .in_size = s.stem_size,
            .out_size = s.stem_size,
            .ops = {0}};
}

/// `place`: of the block in a subnet's list of modules, none for a supernet.
std::string op_name(const Space& s, const Block& b, int id, const Style& style, std::optional<int> place) {
    const Op& op = s.op(id);
    if (s.rules == Rules::mmrazor) return fmt::format("{}{}._candidates.{}", style.prefix, s.module_name(b), op.name);
    const std::string block = fmt::format("{}features.{}", style.prefix, place.value_or(b.index));
    if (place) return block;
    return s.family == Family::shufflenet ? fmt::format("{}.{}", block, op.id)
                                          : fmt::format("{}._ops.{}", block, op.id);
}

void write_op(LayerWriter& to, const Space& s, const Block& b, int id, int scale, const std::string& name) {
    to.at(Part::block, b.index, id);
    s.family == Family::shufflenet ? write_shuffle_block(to, s, b, s.op(id), scale, name)
                                   : write_mobile_block(to, s, b, s.op(id), name);
}

/// Convolution, BN and activation of stem or head.
Flow write_unit(LayerWriter& to, const Space& s, const Style& style, const char* original, const char* mmrazor, Flow x,
                int out, int kernel, int stride) {
    const bool mm = s.rules == Rules::mmrazor;
    const std::string name = style.prefix + (mm ? mmrazor : original);
    x = to.conv(name + (mm ? ".conv" : ".0"), x, out, kernel, stride);
    x = to.norm(name + (mm ? ".bn" : ".1"), x);
    return to.same(s.family == Family::shufflenet ? LayerKind::relu : LayerKind::relu6,
                   name + (mm ? ".activate" : ".2"), x);
}

void write_stem(LayerWriter& to, const Space& s, const Style& style) {
    const bool shuffle = s.family == Family::shufflenet;
    to.at(Part::stem);
    write_unit(to, s, style, shuffle ? "first_conv" : "conv_bn", "backbone.conv1", {3, s.config.input_size}, s.stem, 3,
               2);
    if (shuffle) return;
    write_mobile_block(
        to, s, fixed_block(s), kFixed,
        style.prefix + (s.rules == Rules::mmrazor ? "backbone.layer1.0._candidates.mb_k3e1" : "MBConv_ratio_1"));
}

void write_head(LayerWriter& to, const Space& s, const Style& style) {
    const bool shuffle = s.family == Family::shufflenet;
    const Block& last = s.blocks.back();
    to.at(Part::head);
    Flow x = write_unit(to, s, style, shuffle ? "conv_last" : "conv_1x1_bn",
                        shuffle ? "backbone.layers.4" : "backbone.conv2", {last.out, last.out_size}, s.last, 1, 1);
    x = to.pool(style.prefix + (s.rules == Rules::mmrazor ? "neck.gap" : "globalpool"), x);
    if (style.dropout > 0)
        x = to.same(LayerKind::dropout, style.prefix + (shuffle ? "dropout" : "classifier.0"), x, style.dropout);
    to.linear(style.prefix + style.classifier, x, s.config.classes, style.classifier_bias);
}

}  // namespace

Style supernet_style(const Space& s) {
    if (s.rules == Rules::mmrazor) return {.prefix = "architecture.", .classifier = "head.fc"};
    if (s.family == Family::mobilenet) return {.prefix = "", .classifier = "classifier.0"};
    return {.affine = false, .classifier_bias = false, .dropout = 0.1, .prefix = "", .classifier = "classifier.0"};
}

Style subnet_style(const Space& s) {
    if (s.rules == Rules::mmrazor) return {.prefix = "", .classifier = "head.fc"};
    if (s.family == Family::mobilenet) return {.dropout = 0.2, .prefix = "", .classifier = "classifier.1"};
    return {.classifier_bias = false, .dropout = 0.1, .prefix = "", .classifier = "classifier.0"};
}

Net supernet(const Space& space, const Style& style) {
    Net net{space, style, std::nullopt};
    LayerWriter to(net.layers, style.affine);
    write_stem(to, space, style);
    for (const Block& b : space.blocks) {
        for (int id : b.ops)
            write_op(to, space, b, id, space.config.last_scale, op_name(space, b, id, style, std::nullopt));
    }
    write_head(to, space, style);
    return net;
}
Net supernet(const Space& space) { return supernet(space, supernet_style(space)); }

Net subnet(const Space& space, const Architecture& arch, const Style& style) {
    validate(space, arch);
    Net net{space, style, arch};
    LayerWriter to(net.layers, style.affine);
    write_stem(to, space, style);
    // The original's list of modules holds no identities, so that a block behind one is called by its place there.
    int place = 0;
    for (const Block& b : space.blocks) {
        const auto i = static_cast<std::size_t>(b.index);
        const int id = arch.ops[i];
        write_op(to, space, b, id, arch.scales.empty() ? kUnscaled : arch.scales[i],
                 op_name(space, b, id, style, place));
        place += space.op(id).kind != OpKind::identity;
    }
    write_head(to, space, style);
    return net;
}
Net subnet(const Space& space, const Architecture& arch) { return subnet(space, arch, subnet_style(space)); }

std::vector<Layer> block_layers(const Space& space, const Block& block, int op, int scale, const Style& style) {
    std::vector<Layer> layers;
    LayerWriter to(layers, style.affine);
    write_op(to, space, block, op, scale, op_name(space, block, op, style, block.index));
    return layers;
}

std::vector<Layer> fixed_layers(const Space& space, const Style& style) {
    std::vector<Layer> layers;
    LayerWriter to(layers, style.affine);
    write_stem(to, space, style);
    write_head(to, space, style);
    return layers;
}

std::int64_t Layer::weights() const {
    if (kind != LayerKind::conv && kind != LayerKind::linear) return 0;
    return std::int64_t{out} * (in / groups) * (kind == LayerKind::conv ? kernel * kernel : 1);
}

std::int64_t Layer::parameters() const {
    if (kind == LayerKind::batch_norm) return affine ? 2 * std::int64_t{out} : 0;
    return weights() + (kind == LayerKind::linear && bias ? out : 0);
}

std::int64_t parameter_count(const std::vector<Layer>& layers) {
    std::int64_t n = 0;
    for (const Layer& l : layers) n += l.parameters();
    return n;
}

std::vector<StateEntry> state_entries(const std::vector<Layer>& layers) {
    std::vector<StateEntry> entries;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Layer& l = layers[i];
        auto add = [&](const char* leaf, std::vector<std::int64_t> shape, bool trained, bool int64 = false) {
            entries.push_back({l.name + leaf, std::move(shape), trained, int64, static_cast<int>(i)});
        };
        if (l.kind == LayerKind::conv) {
            add(".weight", {l.out, l.in / l.groups, l.kernel, l.kernel}, true);
        } else if (l.kind == LayerKind::linear) {
            add(".weight", {l.out, l.in}, true);
            if (l.bias) add(".bias", {l.out}, true);
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

}  // namespace nascent::chain
