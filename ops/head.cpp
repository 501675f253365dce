#include "ops/head.h"

#include "kernels/head.h"
#include "ops/norm_list.h"
#include "ops/reference.h"
#include "ops/rounding.h"

namespace nascent {
namespace {

struct Head {
    static constexpr const char* name = "head";
    bool operator==(const Head&) const = default;
    enum { x, gamma, beta, weight, bias };
    NormArgs norm;

    static int classes(Inputs in) {
        const kernels::Image i = image_of(in[x]);
        NASCENT_CHECK(in[weight].shape.rank() == 2 && in[weight].shape[1] == i.c, runtime,
                      "classifier {} does not fit x {}", in[weight].shape.text(), in[x].shape.text());
        check_vector(in[bias], in[weight].shape[0], compute_type(in[x].dtype), "classifier bias");
        return static_cast<int>(in[weight].shape[0]);
    }

    /// saved: pooled features, then the norm's state.
    Tensor forward(Inputs in, Saved& saved) const {
        const kernels::Image image = image_of(in[x]);
        const int out = classes(in);
        const DType dtype = compute_type(in[x].dtype);
        Tensor y = empty({image.n, out}, dtype), pooled = empty({image.n, image.c}, dtype);
        NormState state = NormState::make(image.c, dtype);
        saved = {pooled, state.scale, state.shift, state.mean, state.rstd};
        ScratchScope scratch(current_arena());
        with_stored(in[x].dtype, [&](auto zero) {
            using S = decltype(zero);
            using T = kernels::Compute<S>;
            const kernels::Stream stream = kernel_stream();
            double* sums = norm.training ? doubles(2 * static_cast<std::size_t>(image.c)) : nullptr;
            FinishWithin within(state, norm, image.pixels(), sums, in[gamma], in[beta]);
            if (norm.training)
                kernels::channel_sums<S>(stream, image, in[x].as<S>(), sums,
                                         workspace(kernels::norm_sums_workspace(stream, image, 1)));
            within.finish();
            kernels::norm_relu_pool<S>(stream, image, in[x].as<S>(), state.scale.as<T>(), state.shift.as<T>(),
                                       pooled.as<T>());
            kernels::linear_forward<T>(stream, image.n, image.c, out, pooled.as<T>(), in[weight].as<T>(),
                                       in[bias].as<T>(), y.as<T>());
        });
        return y;
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        const kernels::Image image = image_of(in[x]);
        with_stored(in[x].dtype, [&](auto zero) {
            using S = decltype(zero);
            using T = kernels::Compute<S>;
            const kernels::Stream stream = kernel_stream();
            const bool through = into[x] || into[gamma] || into[beta];
            Tensor dpooled = through ? empty({image.n, image.c}, dy.dtype) : Tensor{};
            kernels::linear_backward<T>(stream, image.n, image.c, classes(in), saved[0].as<T>(), in[weight].as<T>(),
                                        dy.as<T>(), through ? dpooled.as<T>() : nullptr, false, into[weight].as<T>(),
                                        into[weight].accumulate(), into[bias].as<T>(), into[bias].accumulate());
            if (!through) return;
            const NormState state{saved[1], saved[2], saved[3], saved[4]};
            double* sums = doubles(2 * static_cast<std::size_t>(image.c));
            void* space = workspace(kernels::norm_sums_workspace(stream, image, 1));
            NormGradient g;
            fold_within<T>(
                stream, sums, {fold_of<T>(g, norm, state, image.pixels(), in[gamma], into[gamma], into[beta])}, [&] {
                    kernels::norm_relu_pool_backward_sums<S>(stream, image, in[x].as<S>(), state.scale.as<T>(),
                                                             state.shift.as<T>(), dpooled.as<T>(), sums, space);
                });
            if (!into[x]) return;
            kernels::norm_relu_pool_backward<S>(stream, image, in[x].as<S>(), state.scale.as<T>(), state.shift.as<T>(),
                                                dpooled.as<T>(), g.scale.as<T>(), g.slope.as<T>(), g.shift.as<T>(),
                                                into[x].as<S>(), into[x].accumulate());
        });
    }

    Tensor reference(Inputs in) const {
        return linear(global_avg_pool(relu(batch_norm(read(in[x]), in[gamma], in[beta], norm))), in[weight], in[bias]);
    }

    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return head(in[x], {in[gamma], in[beta], in[weight], in[bias]}, {}); };
        auto inputs = [](int n, int h, int w, int c, int out) {
            return std::vector<Shape>{{n, h, w, c}, {c}, {c}, {out, c}, {out}};
        };
        std::vector<Case> all{
            {"usual", inputs(4, 2, 2, 16, 10), run},
            {"odd, one picture", inputs(1, 3, 5, 7, 3), run},
            {"several chunks", inputs(39, 1, 2, 5, 4), run},
            {"weights only", inputs(3, 2, 3, 4, 5), run, {false, true, true, true, true}},
            {"input only", inputs(3, 2, 3, 4, 5), run, {true, false, false, false, false}},
            {"classifier only", inputs(3, 2, 3, 4, 5), run, {false, false, false, true, true}},
            {"all used twice", inputs(3, 2, 3, 4, 5), [run](Inputs in) { return add(run(in), run(in)); }}};
        for (Case& c : all) c.activations = 1;
        return all;
    }
};

}  // namespace

Tensor head(const Tensor& x, const HeadWeights& w, const NormArgs& norm) {
    return apply(Head{norm}, {x, w.gamma, w.beta, w.weight, w.bias});
}

}  // namespace nascent
