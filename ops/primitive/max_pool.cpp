#include "kernels/pool_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct MaxPool {
    static constexpr const char* name = "max_pool";
    bool operator==(const MaxPool&) const = default;
    int k, stride, padding;
    kernels::PoolShape shape(const Tensor& x) const { return pool_shape(x, k, stride, padding); }
    Tensor forward(Inputs in, Saved& saved) const {
        const kernels::PoolShape s = shape(in[0]);
        const Shape windows{s.x.n, s.out_h(), s.out_w(), s.x.c};
        Tensor y = empty(windows, in[0].dtype), tap = empty(windows, DType::u8);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::max_pool_plain_forward<T>(kernel_stream(), s, in[0].as<T>(), y.as<T>(), tap.as<std::uint8_t>());
        });
        saved = {tap};
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::max_pool_plain_backward<T>(kernel_stream(), shape(in[0]), saved[0].as<std::uint8_t>(), dy.as<T>(),
                                                into[0].as<T>(), into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto same = [](Inputs in) { return max_pool(in[0], 3, 1, 1); };
        auto half = [](Inputs in) { return max_pool(in[0], 3, 2, 1); };
        return {
            {"3x3", {{2, 5, 7, 3}}, same},
            {"3x3 s2", {{2, 5, 7, 3}}, half},
            {"3x3 s2, even", {{2, 6, 4, 5}}, half},
            {"2x2 s2", {{1, 4, 6, 2}}, [](Inputs in) { return max_pool(in[0], 2, 2, 0); }},
            {"one pixel", {{1, 1, 1, 3}}, same},
            {"several chunks", {{37, 3, 2, 5}}, same},
            {"negative or zero, many equal", {{2, 5, 5, 3}}, [](Inputs in) { return max_pool(relu(in[0]), 3, 2, 1); }},
            {"twice", {{3, 3, 4, 2}}, [](Inputs in) { return add(max_pool(in[0], 3, 1, 1), in[0]); }}};
    }
};

}  // namespace

Tensor max_pool(const Tensor& x, int k, int stride, int padding) { return apply(MaxPool{k, stride, padding}, {x}); }

}  // namespace nascent
