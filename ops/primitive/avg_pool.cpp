#include "kernels/pool_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct AvgPool {
    static constexpr const char* name = "avg_pool";
    bool operator==(const AvgPool&) const = default;
    int k, stride, padding;
    kernels::PoolShape shape(const Tensor& x) const { return pool_shape(x, k, stride, padding); }
    Tensor forward(Inputs in, Saved&) const {
        const kernels::PoolShape s = shape(in[0]);
        Tensor y = empty({s.x.n, s.out_h(), s.out_w(), s.x.c}, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::avg_pool_plain_forward<T>(kernel_stream(), s, in[0].as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::avg_pool_plain_backward<T>(kernel_stream(), shape(in[0]), dy.as<T>(), into[0].as<T>(),
                                                into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto same = [](Inputs in) { return avg_pool(in[0], 3, 1, 1); };
        return {{"3x3", {{2, 5, 7, 3}}, same},
                {"2x2 s2", {{2, 6, 4, 5}}, [](Inputs in) { return avg_pool(in[0], 2, 2, 0); }},
                {"3x3 s2", {{2, 5, 6, 3}}, [](Inputs in) { return avg_pool(in[0], 3, 2, 1); }},
                {"5x5 s3", {{1, 8, 8, 3}}, [](Inputs in) { return avg_pool(in[0], 5, 3, 0); }},
                {"one pixel", {{1, 1, 1, 3}}, same},
                {"several chunks", {{37, 3, 2, 5}}, same},
                {"twice", {{3, 3, 4, 2}}, [](Inputs in) { return add(avg_pool(in[0], 3, 1, 1), in[0]); }}};
    }
};

}  // namespace

Tensor avg_pool(const Tensor& x, int k, int stride, int padding) { return apply(AvgPool{k, stride, padding}, {x}); }

}  // namespace nascent
