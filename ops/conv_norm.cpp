#include "ops/conv_norm.h"

#include "ops/norm_list.h"
#include "ops/reference.h"
#include "ops/rounding.h"

namespace nascent {
namespace {

/// Inputs: x, w, gamma, beta.
struct ConvNorm {
    static constexpr const char* name = "conv_norm";
    bool operator==(const ConvNorm&) const = default;
    NormArgs norm;
    int stride;

    /// saved: z and the norm's state.
    Tensor forward(Inputs in, Saved& saved) const {
        const kernels::ConvShape s = conv_shape(in[0], in[1], stride);
        Tensor y = empty(conv_output(s), in[0].dtype), z = empty(y.shape, y.dtype);
        NormState state = NormState::make(s.c_out, y.dtype);
        saved = {z, state.scale, state.shift, state.mean, state.rstd};
        ScratchScope scratch(current_arena());
        double* sums = norm.training ? doubles(2 * static_cast<std::size_t>(s.c_out)) : nullptr;
        FinishWithin within(state, norm, s.pixels(), sums, in[2], in[3]);
        with_stored(y.dtype, [&](auto zero) {
            using S = decltype(zero);
            const kernels::Stream stream = kernel_stream();
            kernels::conv_forward<S>(stream, s, in[0].as<S>(), {}, conv_weights<S>(in[1]), z.as<S>(), sums,
                                     workspace(kernels::conv_forward_workspace(stream, s, sizeof(S))));
        });
        within.finish();
        state.normalise(z, y);
        return y;
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        const kernels::ConvShape s = conv_shape(in[0], in[1], stride);
        const NormGradient g =
            NormGradient::make(norm, {saved[1], saved[2], saved[3], saved[4]}, dy, saved[0], in[2], into[2], into[3]);
        with_stored(dy.dtype, [&](auto zero) {
            using S = decltype(zero);
            using T = kernels::Compute<S>;
            const kernels::Stream stream = kernel_stream();
            kernels::conv_backward<S>(stream, s, in[0].as<S>(), {}, conv_weights<S>(in[1]), dy.as<S>(),
                                      {saved[0].as<S>(), g.scale.as<T>(), g.slope.as<T>(), g.shift.as<T>()},
                                      into[0].as<S>(), into[0].accumulate(), into[1].as<T>(), into[1].accumulate(),
                                      workspace(kernels::conv_backward_workspace(stream, s, sizeof(S))));
        });
    }

    Tensor reference(Inputs in) const {
        const Tensor z = product([&](const Tensor& x, const Tensor& w) { return conv2d(x, w, stride); }, read(in[0]),
                                 in[1], factors_of(in[1].shape[2], in[1].shape[3]));
        return stored(batch_norm(z, in[2], in[3], norm));
    }

    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return conv_norm(in[0], in[1], in[2], in[3], {}); };
        std::vector<Case> all{{"stem", {{3, 6, 5, 3}, {3, 3, 3, 16}, {16}, {16}}, run},
                              {"eights of channels to odd ones", {{2, 4, 5, 8}, {3, 3, 8, 5}, {5}, {5}}, run},
                              {"one picture", {{1, 3, 5, 3}, {3, 3, 3, 7}, {7}, {7}}, run},
                              {"several chunks", {{41, 2, 3, 2}, {1, 1, 2, 3}, {3}, {3}}, run},
                              {"stride 2",
                               {{2, 5, 6, 3}, {3, 3, 3, 5}, {5}, {5}},
                               [](Inputs in) { return conv_norm(in[0], in[1], in[2], in[3], {}, 2); }},
                              {"stride 2, 1x1", {{2, 5, 6, 3}, {1, 1, 3, 5}, {5}, {5}}, [](Inputs in) {
                                   return conv_norm(in[0], in[1], in[2], in[3], {}, 2);
                               }}};
        all.push_back({"weights only", {{2, 4, 4, 3}, {3, 3, 3, 5}, {5}, {5}}, run, {false, true, true, true}});
        all.push_back({"all used twice", {{2, 4, 3, 3}, {3, 3, 3, 3}, {3}, {3}}, [](Inputs in) {
                           return add(conv_norm(in[0], in[1], in[2], in[3], {}),
                                      conv_norm(conv_norm(in[0], in[1], in[2], in[3], {}), in[1], in[2], in[3], {}));
                       }});
        for (Case& c : all) c.activations = 1;
        return all;
    }
};

}  // namespace

Tensor conv_norm(const Tensor& x, const Tensor& w, const Tensor& gamma, const Tensor& beta, const NormArgs& norm,
                 int stride) {
    return apply(ConvNorm{norm, stride}, {x, w, gamma, beta});
}

}  // namespace nascent
