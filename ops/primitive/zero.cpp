#include "kernels/mix_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Zero {
    static constexpr const char* name = "zero";
    bool operator==(const Zero&) const = default;
    int stride;
    Tensor forward(Inputs in, Saved&) const {
        NASCENT_CHECK(stride >= 1, runtime, "stride {}: expected 1 or more", stride);
        const kernels::Image s = image_of(in[0]);
        Tensor y = empty({s.n, (s.h + stride - 1) / stride, (s.w + stride - 1) / stride, s.c}, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::zero_forward<T>(kernel_stream(), s, stride, in[0].as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::zero_backward<T>(kernel_stream(), image_of(in[0]), stride, dy.as<T>(), into[0].as<T>(),
                                      into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto with = [](int stride) { return [=](Inputs in) { return zero(in[0], stride); }; };
        return {{"same size", {{2, 3, 5, 3}}, with(1)},
                {"s2", {{1, 5, 4, 3}}, with(2)},
                {"one pixel", {{1, 1, 1, 1}}, with(2)},
                {"several chunks", {{37, 2, 3, 2}}, with(2)},
                {"twice", {{2, 3, 3, 2}}, [](Inputs in) { return add(zero(in[0], 1), in[0]); }}};
    }
};

}  // namespace

Tensor zero(const Tensor& x, int stride) { return apply(Zero{stride}, {x}); }

}  // namespace nascent
