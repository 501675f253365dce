#include "kernels/pool_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct GlobalAvgPool {
    static constexpr const char* name = "global_avg_pool";
    bool operator==(const GlobalAvgPool&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        const kernels::Image image = image_of(in[0]);
        Tensor y = empty({image.n, image.c}, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::global_avg_pool_forward<T>(kernel_stream(), image, in[0].as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::global_avg_pool_backward<T>(kernel_stream(), image_of(in[0]), dy.as<T>(), into[0].as<T>(),
                                                 into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return global_avg_pool(in[0]); };
        return {{"odd", {{2, 3, 5, 7}}, run},
                {"one", {{1, 1, 1, 1}}, run},
                {"batch", {{35, 2, 2, 3}}, run},
                {"used twice", {{2, 3, 2, 5}}, [](Inputs in) {
                     return add(global_avg_pool(in[0]), global_avg_pool(in[0]));
                 }}};
    }
};

}  // namespace

Tensor global_avg_pool(const Tensor& x) { return apply(GlobalAvgPool{}, {x}); }

}  // namespace nascent
