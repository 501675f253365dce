#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Relu {
    static constexpr const char* name = "relu";
    bool operator==(const Relu&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        Tensor y = empty(in[0].shape, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::relu_forward<T>(kernel_stream(), y.size(), in[0].as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::relu_backward<T>(kernel_stream(), dy.size(), in[0].as<T>(), dy.as<T>(), into[0].as<T>(),
                                      into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return relu(in[0]); };
        return {{"odd", {{1, 3, 5, 7}}, run},
                {"batch", {{4, 8, 8, 16}}, run},
                {"one", {{1, 1, 1, 1}}, run},
                {"several chunks", {{37, 3, 2, 5}}, run},
                {"used twice", {{2, 3, 3, 5}}, [](Inputs in) { return add(relu(in[0]), relu(in[0])); }}};
    }
};

}  // namespace

Tensor relu(const Tensor& x) { return apply(Relu{}, {x}); }

}  // namespace nascent
