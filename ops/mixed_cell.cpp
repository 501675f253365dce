#include "ops/mixed_cell.h"

#include "ops/kernel_stream.h"
#include "ops/mixed_cell_call.h"
#include "ops/reference.h"

namespace nascent {

bool MixedCell::keeps_pools() const { return shape.affine || kernel_stream().where == kernels::Where::cpu; }

Tensor MixedCell::forward(Inputs in, Saved& saved) const {
    return with_stored(
        in[1].dtype, [&](auto zero) { return cell::Cells<decltype(zero)>(*this, in, cell::Keeping(saved)).forward(); });
}

void MixedCell::backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
    with_stored(dy.dtype,
                [&](auto zero) { cell::Cells<decltype(zero)>(*this, in, cell::Keeping(saved)).backward(dy, into); });
}

namespace {

/// The cell's parameters and batch-norms in their order.
struct Reading {
    const MixedCell& op;
    Inputs in;
    std::size_t parameter = cell::kFirstParameter, norm = 0;

    Tensor next() { return in[parameter++]; }
    Tensor normalise(const Tensor& x) {
        const CellNorm& n = op.norms[norm++];
        const Tensor gamma = op.shape.affine ? next() : Tensor{}, beta = op.shape.affine ? next() : Tensor{};
        return batch_norm(x, gamma, beta, {n.mean, n.variance, op.training});
    }
    Tensor reduce(const Tensor& x) {
        const Tensor a = relu(x);
        const kernels::WindowAxis even{1, 2, 1, 0, 0}, odd{1, 2, 1, -1, 0};
        const Tensor first = conv2d(a, next(), {even, even});
        const Tensor halves[] = {first, conv2d(a, next(), {odd, odd})};
        return normalise(concat(halves));
    }
    Tensor separable(const Tensor& x, int stride, int dilation) {
        const Tensor depth = next();
        return normalise(conv2d(depthwise(relu(x), depth, stride, dilation), next()));
    }
    Tensor edge_op(const CellOp& o, const Tensor& x, int stride) {
        switch (o.kind) {
            case CellOpKind::none:
                return zero(x, stride);
            case CellOpKind::max_pool:
                return normalise(max_pool(x, 3, stride, 1));
            case CellOpKind::avg_pool:
                return normalise(avg_pool(x, 3, stride, 1));
            case CellOpKind::skip:
                return stride == 1 ? x : reduce(x);
            case CellOpKind::separable:
                return separable(separable(x, stride, 1), 1, 1);
            case CellOpKind::dilated:
                return separable(x, stride, 2);
            case CellOpKind::bypass:
                return stride == 1 ? x : max_pool(x, 2, 2, 0);
        }
        return x;
    }
};

}  // namespace

Tensor MixedCell::reference(Inputs in) const {
    Reading r{*this, in};
    const int n = static_cast<int>(in[1].shape[0]) / copies;
    std::vector<Tensor> all;
    for (int copy = 0; copy < copies; copy++) {
        const Tensor before = slice_pictures(in[0], copy * n, n), previous = slice_pictures(in[1], copy * n, n);
        std::vector<Tensor> states(static_cast<std::size_t>(shape.nodes) + 2);
        states[0] = shape.reduce_before ? r.reduce(before) : r.normalise(conv2d(relu(before), r.next()));
        states[1] = r.normalise(conv2d(relu(previous), r.next()));
        for (int node = 2; node < shape.nodes + 2; node++) {
            Tensor sums[2];  // of operators, of what goes round them
            for (const CellEdge& e : shape.edges) {
                if (e.to != node) continue;
                const Tensor& x = states[static_cast<std::size_t>(e.from)];
                const int seen = shape.channels / shape.partial;
                for (const CellOp& o : e.ops) {
                    const bool bypass = o.kind == CellOpKind::bypass;
                    const Tensor read = shape.partial == 1 ? x
                                        : bypass           ? slice_channels(x, seen, shape.channels - seen)
                                                           : slice_channels(x, 0, seen);
                    Tensor y = r.edge_op(o, read, e.stride);
                    if (o.weight >= 0) y = weighted(y, in[2], o.weight);
                    sums[bypass] = sums[bypass].defined() ? add(sums[bypass], y) : y;
                }
            }
            Tensor& state = states[static_cast<std::size_t>(node)];
            state = shape.partial == 1 ? sums[0] : concat(sums);
            const auto channels = static_cast<std::size_t>(shape.channels);
            if (shape.partial > 1 && shape.shuffle)
                state = shape.order.empty()
                            ? channel_shuffle(state, shape.partial)
                            : channel_permute(state, std::span(shape.order).subspan((node - 2) * channels, channels));
        }
        all.push_back(concat(std::span(states).subspan(2)));
    }
    return stack(all);
}

int cell_op_parameters(const CellOp& op, int stride, bool affine) {
    const int norms = affine ? 2 * cell_op_norms(op, stride) : 0;
    if (op.kind == CellOpKind::skip) return norms + (stride == 2 ? 2 : 0);
    return norms + (op.kind == CellOpKind::separable ? 4 : op.kind == CellOpKind::dilated ? 2 : 0);
}
int cell_op_norms(const CellOp& op, int stride) {
    if (op.kind == CellOpKind::none || op.kind == CellOpKind::bypass) return 0;
    if (op.kind == CellOpKind::skip) return stride == 2 ? 1 : 0;
    return op.kind == CellOpKind::separable ? 2 : 1;
}

Tensor mixed_cell(const CellShape& shape, const Tensor& before, const Tensor& previous, const Tensor& weights,
                  std::span<const Tensor> parameters, std::span<const CellNorm> norms, bool training, int copies) {
    MixedCell op{shape, {norms.begin(), norms.end()}, training, copies};
    std::vector<Tensor> inputs{before, previous, weights.defined() ? weights : before.detached()};
    inputs.insert(inputs.end(), parameters.begin(), parameters.end());
    return nascent::apply(op, inputs);
}

}  // namespace nascent
