#include "ops/pool_linear.h"

#include "engine/base/rng.h"
#include "kernels/dropout.h"
#include "kernels/head.h"
#include "ops/reference.h"

namespace nascent {
namespace {

/// Inputs: x, mask, weight, bias.
struct PoolLinear {
    static constexpr const char* name = "pool_linear";
    bool operator==(const PoolLinear&) const = default;
    enum { x, mask, weight, bias };

    static int classes(Inputs in) {
        const kernels::Image i = image_of(in[x]);
        NASCENT_CHECK(in[weight].shape.rank() == 2 && in[weight].shape[1] == i.c, runtime,
                      "classifier {} does not fit x {}", in[weight].shape.text(), in[x].shape.text());
        if (in[bias].defined()) check_vector(in[bias], in[weight].shape[0], in[x].dtype, "classifier bias");
        NASCENT_CHECK(!in[mask].defined() || (in[mask].shape == Shape({i.n, i.c}) && in[mask].dtype == in[x].dtype),
                      runtime, "mask {} does not fit x {}", in[mask].shape.text(), in[x].shape.text());
        return static_cast<int>(in[weight].shape[0]);
    }

    /// saved: the pooled features, masked.
    Tensor forward(Inputs in, Saved& saved) const {
        const kernels::Image image = image_of(in[x]);
        const int out = classes(in);
        Tensor y = empty({image.n, out}, in[x].dtype), pooled = empty({image.n, image.c}, in[x].dtype);
        saved = {pooled};
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            const kernels::Stream stream = kernel_stream();
            kernels::global_avg_pool_forward<T>(stream, image, in[x].as<T>(), pooled.as<T>());
            if (in[mask].defined())
                kernels::multiply<T>(stream, pooled.size(), pooled.as<T>(), in[mask].as<T>(), pooled.as<T>(), false);
            kernels::linear_forward<T>(stream, image.n, image.c, out, pooled.as<T>(), in[weight].as<T>(),
                                       in[bias].defined() ? in[bias].as<T>() : nullptr, y.as<T>());
        });
        return y;
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        NASCENT_CHECK(!into[mask], runtime, "a mask has no gradient");
        const kernels::Image image = image_of(in[x]);
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            const kernels::Stream stream = kernel_stream();
            Tensor dpooled = into[x] ? empty({image.n, image.c}, dy.dtype) : Tensor{};
            kernels::linear_backward<T>(stream, image.n, image.c, classes(in), saved[0].as<T>(), in[weight].as<T>(),
                                        dy.as<T>(), into[x] ? dpooled.as<T>() : nullptr, false, into[weight].as<T>(),
                                        into[weight].accumulate(), into[bias].as<T>(), into[bias].accumulate());
            if (!into[x]) return;
            if (in[mask].defined())
                kernels::multiply<T>(stream, dpooled.size(), dpooled.as<T>(), in[mask].as<T>(), dpooled.as<T>(), false);
            kernels::global_avg_pool_backward<T>(stream, image, dpooled.as<T>(), into[x].as<T>(), into[x].accumulate());
        });
    }

    Tensor reference(Inputs in) const {
        const Tensor pooled = global_avg_pool(in[x]);
        return linear(in[mask].defined() ? masked(pooled, in[mask]) : pooled, in[weight], in[bias]);
    }

    static std::vector<Case> cases() {
        auto all = [](Inputs in) { return pool_linear(in[x], in[mask], in[weight], in[bias]); };
        auto bare = [](Inputs in) { return pool_linear(in[0], {}, in[1], {}); };
        auto inputs = [](int n, int h, int w, int c, int out) {
            return std::vector<Shape>{{n, h, w, c}, {n, c}, {out, c}, {out}};
        };
        return {{"usual", inputs(4, 2, 2, 16, 10), all, {true, false, true, true}},
                {"odd, one picture", inputs(1, 3, 5, 7, 3), all, {true, false, true, true}},
                {"several chunks", inputs(39, 1, 2, 5, 4), all, {true, false, true, true}},
                {"no mask, no bias", {{3, 2, 3, 18}, {5, 18}}, bare},
                {"weights only", inputs(3, 2, 3, 4, 5), all, {false, false, true, true}},
                {"input only", inputs(3, 2, 3, 4, 5), all, {true, false, false, false}},
                {"drawn mask",
                 {{5, 2, 3, 7}, {3, 7}},
                 [](Inputs in) {
                     const Tensor drawn = dropout_mask({5, 7}, in[0].dtype, 0.4, {3, 1});
                     return pool_linear(in[0], drawn, in[1], {});
                 }},
                {"used twice", {{3, 2, 3, 4}, {5, 4}}, [bare](Inputs in) { return add(bare(in), bare(in)); }}};
    }
};

}  // namespace

Tensor dropout_mask(const Shape& shape, DType dtype, double p, const DropoutKey& key) {
    NASCENT_CHECK(p >= 0 && p < 1, runtime, "dropout with probability {}: expected at least 0 and below 1", p);
    Tensor mask = empty(shape, dtype);
    with_type(dtype, [&](auto zero) {
        using T = decltype(zero);
        kernels::dropout_mask<T>(kernel_stream(),
                                 {key.seed, key.step, static_cast<std::uint32_t>(RandomStream::dropout), key.first},
                                 mask.size(), p, mask.as<T>());
    });
    return mask;
}

Tensor pool_linear(const Tensor& x, const Tensor& mask, const Tensor& weight, const Tensor& bias) {
    return apply(PoolLinear{}, {x, mask, weight, bias});
}

}  // namespace nascent
