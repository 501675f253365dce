#include "ops/mixed_cell.h"

#include "ops/kernel_stream.h"
#include "ops/mixed_cell_call.h"
#include "ops/reference.h"
#include "ops/rounding.h"

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
        return rounded(batch_norm(x, gamma, beta, {n.mean, n.variance, op.training}), RoundTo::nothing,
                       RoundTo::nothing);
    }
    /// What 1x1 products of a pass round their factors to; `halves`: a FactorizedReduce is among them.
    static RoundTo factors(std::int64_t channels, bool halves) {
        return channels % (halves ? 8 : 4) == 0 ? RoundTo::tf32 : RoundTo::nothing;
    }
    Tensor point(const Tensor& a, RoundTo f) {
        return product([](const Tensor& x, const Tensor& w) { return conv2d(x, w); }, a, next(), f);
    }
    Tensor reduce(const Tensor& x, RoundTo f) {
        const Tensor a = relu(x);
        Tensor halves[2];
        for (int odd : {0, 1}) {
            const kernels::WindowAxis every{1, 2, 1, -odd, 0};
            halves[odd] = product(
                [&](const Tensor& from, const Tensor& w) {
                    return conv2d(from, w, {every, every});
                },
                a, next(), f);
        }
        return concat(halves);
    }
    Tensor separable(const Tensor& x, int stride, int dilation, RoundTo f) {
        const Tensor depth = next();
        return normalise(point(depthwise(relu(x), depth, stride, dilation), f));
    }
    /// A state: stored, and its gradient once all of it is there.
    static Tensor state(const Tensor& x) { return rounded(x, RoundTo::bf16, RoundTo::bf16); }
    /// That of an input, from its z.
    Tensor preprocessed(const Tensor& z) {
        const Tensor y = normalise(z);
        return op.keeps_z() || !op.training ? state(y) : kept_for_norm(y, z, cell::kEps);
    }
    Tensor edge_op(const CellOp& o, const Tensor& x, int stride, bool halves) {
        const std::int64_t channels = x.shape[3];
        const RoundTo first = factors(channels, halves);
        switch (o.kind) {
            case CellOpKind::none:
                return zero(x, stride);
            case CellOpKind::max_pool:
                return normalise(max_pool(x, 3, stride, 1));
            case CellOpKind::avg_pool:
                return normalise(stored(avg_pool(x, 3, stride, 1)));
            case CellOpKind::skip:
                return stride == 1 ? x : normalise(reduce(x, first));
            case CellOpKind::separable:
                return separable(rounded(separable(x, stride, 1, first), RoundTo::nothing, RoundTo::bf16), 1, 1,
                                 factors(channels, false));
            case CellOpKind::dilated:
                return separable(x, stride, 2, first);
            case CellOpKind::bypass:
                return stride == 1 ? x : max_pool(x, 2, 2, 0);
        }
        return x;
    }
};

/// Whether a state is read by a FactorizedReduce.
bool has_reduce(const CellShape& s, int from) {
    return std::any_of(s.edges.begin(), s.edges.end(), [&](const CellEdge& e) {
        return e.from == from && e.stride == 2 &&
               std::any_of(e.ops.begin(), e.ops.end(), [](const CellOp& o) { return o.kind == CellOpKind::skip; });
    });
}

}  // namespace

Tensor MixedCell::reference(Inputs in) const {
    Reading r{*this, in};
    const int n = static_cast<int>(in[1].shape[0]) / copies;
    std::vector<Tensor> all;
    // On the way back the first input's gradient is written before the second's, which may be one value.
    const Tensor second = read(in[1]), first = read(in[0]);
    const std::int64_t all_channels = in[0].shape[3] | in[1].shape[3] | shape.channels;  // in fours where each is
    const RoundTo preprocessing =
        shape.reduce_before && shape.channels % 8 != 0 ? RoundTo::nothing : Reading::factors(all_channels, false);
    auto point_of = [&](const Tensor& x) { return r.point(relu(x), preprocessing); };
    for (int copy = 0; copy < copies; copy++) {
        const Tensor before = slice_pictures(first, copy * n, n), previous = slice_pictures(second, copy * n, n);
        std::vector<Tensor> states(static_cast<std::size_t>(shape.nodes) + 2);
        states[0] = r.preprocessed(shape.reduce_before ? r.reduce(before, preprocessing) : point_of(before));
        states[1] = r.preprocessed(point_of(previous));
        for (int node = 2; node < shape.nodes + 2; node++) {
            Tensor sums[2];  // of operators, of what goes round them
            for (const CellEdge& e : shape.edges) {
                if (e.to != node) continue;
                const Tensor& x = states[static_cast<std::size_t>(e.from)];
                const int seen = shape.channels / shape.partial;
                const bool halves = e.stride == 2 && has_reduce(shape, e.from);
                for (const CellOp& o : e.ops) {
                    const bool bypass = o.kind == CellOpKind::bypass;
                    const Tensor operand = shape.partial == 1 ? x
                                           : bypass           ? slice_channels(x, seen, shape.channels - seen)
                                                              : slice_channels(x, 0, seen);
                    Tensor y = r.edge_op(o, operand, e.stride, halves);
                    if (o.weight >= 0) y = weighted(y, in[2], o.weight);
                    sums[bypass] = sums[bypass].defined() ? add(sums[bypass], y) : y;
                }
            }
            Tensor& state = states[static_cast<std::size_t>(node)];
            state = Reading::state(shape.partial == 1 ? sums[0] : concat(sums));
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
