#include "kernels/pool_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct GlobalAvgPool {
    static constexpr const char* name = "global_avg_pool";
    bool operator==(const GlobalAvgPool&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        const kernels::Image image = image_of(in[0]);
        Tensor y = empty({image.n, image.c}, compute_type(in[0].dtype));
        with_stored(in[0].dtype, [&](auto zero) {
            using S = decltype(zero);
            kernels::global_avg_pool_forward<S>(kernel_stream(), image, in[0].as<S>(), y.as<kernels::Compute<S>>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        with_stored(in[0].dtype, [&](auto zero) {
            using S = decltype(zero);
            kernels::global_avg_pool_backward<S>(kernel_stream(), image_of(in[0]), dy.as<kernels::Compute<S>>(),
                                                 into[0].as<S>(), into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return global_avg_pool(in[0]); };
        std::vector<Case> all{{"odd", {{2, 3, 5, 7}}, run},
                              {"one", {{1, 1, 1, 1}}, run},
                              {"batch", {{35, 2, 2, 3}}, run},
                              {"used twice", {{2, 3, 2, 5}}, [](Inputs in) {
                                   return add(global_avg_pool(in[0]), global_avg_pool(in[0]));
                               }}};
        for (Case& c : all) c.activations = 1;
        return all;
    }
};

}  // namespace

Tensor global_avg_pool(const Tensor& x) { return apply(GlobalAvgPool{}, {x}); }

}  // namespace nascent
