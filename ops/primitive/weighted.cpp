#include "kernels/mix_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Weighted {
    static constexpr const char* name = "weighted";
    bool operator==(const Weighted&) const = default;
    int index;
    Tensor forward(Inputs in, Saved&) const {
        const Tensor &x = in[0], &weights = in[1];
        NASCENT_CHECK(index >= 0 && static_cast<std::size_t>(index) < weights.size() && weights.dtype == x.dtype,
                      runtime, "weight {} for x, {}: the weights are {} {}", index, name_of(x.dtype),
                      name_of(weights.dtype), weights.shape.text());
        Tensor y = empty(x.shape, x.dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::weighted_forward<T>(kernel_stream(), x.size(), x.as<T>(), weights.as<T>() + index, y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::weighted_backward<T>(kernel_stream(), dy.size(), in[0].as<T>(), in[1].as<T>(),
                                          static_cast<int>(in[1].size()), index, dy.as<T>(), into[0].as<T>(),
                                          into[0].accumulate(), into[1].as<T>(), into[1].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto by = [](int at) { return [=](Inputs in) { return weighted(in[0], in[1], at); }; };
        return {{"of a vector", {{2, 3, 5, 7}, {8}}, by(3)},
                {"of a matrix", {{1, 3, 3, 2}, {14, 8}}, by(111)},
                {"the only one", {{1, 1, 1, 1}, {1}}, by(0)},
                {"several chunks", {{37, 3, 2, 5}, {3}}, by(2)},
                {"weights only", {{2, 3, 3, 3}, {5}}, by(0), {false, true}},
                {"input only", {{2, 3, 3, 3}, {5}}, by(4), {true, false}},
                {"a mixed op", {{2, 3, 4, 3}, {3, 4}}, [](Inputs in) {
                     const Tensor w = softmax(in[1]);
                     return add(add(weighted(in[0], w, 4), weighted(zero(in[0], 1), w, 5)),
                                weighted(max_pool(in[0], 3, 1, 1), w, 7));
                 }}};
    }
};

}  // namespace

Tensor weighted(const Tensor& x, const Tensor& weights, int index) { return apply(Weighted{index}, {x, weights}); }

}  // namespace nascent
