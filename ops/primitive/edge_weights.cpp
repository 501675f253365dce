#include "kernels/partial.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct EdgeWeights {
    static constexpr const char* name = "edge_weights";
    bool operator==(const EdgeWeights&) const = default;
    int nodes, first;
    kernels::EdgeRows rows(const Tensor& weights) const { return {nodes, first, static_cast<int>(weights.shape[1])}; }
    Tensor forward(Inputs in, Saved& saved) const {
        const Shape &w = in[0].shape, &b = in[1].shape;
        NASCENT_CHECK(w.rank() == 2, runtime, "expected weights (edges, operators), got {}", w.text());
        const kernels::EdgeRows s = rows(in[0]);
        NASCENT_CHECK(nodes >= 1 && first >= 1 && w[0] == s.edges() && in[1].size() == static_cast<std::size_t>(w[0]) &&
                          in[0].dtype == in[1].dtype,
                      runtime, "weights {} and betas {} of {} nodes with {} edges and more: expected {} edges",
                      w.text(), b.text(), nodes, first, s.edges());
        Tensor y = empty({w[0], w[1] + 1}, in[0].dtype);
        saved = {empty(b, in[0].dtype)};
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::edge_weights_forward<T>(kernel_stream(), s, in[0].as<T>(), in[1].as<T>(), saved[0].as<T>(),
                                             y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::edge_weights_backward<T>(kernel_stream(), rows(in[0]), in[0].as<T>(), saved[0].as<T>(), dy.as<T>(),
                                              into[0].as<T>(), into[0].accumulate(), into[1].as<T>(),
                                              into[1].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto of = [](int nodes, int first) {
            return [=](Inputs in) { return edge_weights(in[0], in[1], nodes, first); };
        };
        Case betas{"betas alone", {{5, 3}, {5}}, of(2, 2)}, weights{"weights alone", {{5, 3}, {5}}, of(2, 2)};
        betas.differentiable = {false, true};
        weights.differentiable = {true, false};
        return {{"of a cell", {{14, 8}, {14}}, of(4, 2)},
                {"many nodes", {{44, 1}, {44}}, of(8, 2)},
                {"one node", {{3, 2}, {3}}, of(1, 3)},
                {"one edge", {{1, 4}, {1}}, of(1, 1)},
                betas,
                weights,
                {"both twice", {{5, 3}, {5}}, [](Inputs in) {
                     return add(edge_weights(in[0], in[1], 2, 2), edge_weights(in[0], in[1], 2, 2));
                 }}};
    }
};

}  // namespace

Tensor edge_weights(const Tensor& weights, const Tensor& betas, int nodes, int first) {
    return apply(EdgeWeights{nodes, first}, {weights, betas});
}

}  // namespace nascent
