#include "ops/conv_act.h"

#include "ops/reference.h"

namespace nascent {
namespace {

using kernels::Activation;

/// Inputs: x, w, gamma, beta. A 1x1 convolution of stride 1 is a chain of one link.
struct ConvAct {
    static constexpr const char* name = "conv_act";
    bool operator==(const ConvAct&) const = default;
    ChainLink link;

    static bool is_point(Inputs in, int stride) { return stride == 1 && in[1].shape[0] == 1; }
    std::span<const ChainLink> links() const { return {&link, 1}; }
    static ChannelView all(const Tensor& x) { return {x, 0, 1, image_of(x).c}; }
    static std::size_t pixels(const Tensor& y) { return y.size() / static_cast<std::size_t>(y.shape[3]); }

    /// What the activation is taken of.
    template <class T>
    kernels::Normed<T> normed(const Tensor& z, const NormState& norm) const {
        const int c = static_cast<int>(z.shape[3]);
        return {{z.as<T>(), c, 1}, norm.scale.as<T>(), norm.shift.as<T>(), link.activation};
    }

    /// saved: z and the norm's state.
    Tensor forward(Inputs in, Saved& saved) const {
        const kernels::ConvShape s = conv_shape(in[0], in[1], link.stride);
        Tensor y = empty(conv_output(s), in[0].dtype);
        if (is_point(in, link.stride)) {
            Chain chain(all(in[0]), links(), in.subspan(1));
            chain.allocate();
            chain.save(saved);
            chain.forward();
        } else {
            Tensor z = empty(y.shape, y.dtype);
            NormState norm = NormState::make(s.c_out, y.dtype);
            saved = {z, norm.scale, norm.shift, norm.mean, norm.rstd};
            ScratchScope scratch(current_arena());
            double* sums = link.norm.training ? doubles(2 * static_cast<std::size_t>(s.c_out)) : nullptr;
            with_type(y.dtype, [&](auto zero) {
                using T = decltype(zero);
                const kernels::Stream stream = kernel_stream();
                kernels::conv_forward<T>(stream, s, in[0].as<T>(), {}, in[1].as<T>(), z.as<T>(), sums,
                                         workspace(kernels::conv_forward_workspace(stream, s, sizeof(T))));
            });
            norm.finish(link.norm, s.pixels(), sums, in[2], in[3]);
        }
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            const NormState norm{saved[1], saved[2], saved[3], saved[4]};
            kernels::chain_output<T>(kernel_stream(), pixels(y), {normed<T>(saved[0], norm), s.c_out}, {}, false,
                                     nullptr, y.as<T>());
        });
        return y;
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        if (is_point(in, link.stride)) {
            ChainTarget target;
            if (into[0]) target = {all(into[0].grad), into[0].accumulate(), {}, {}, {}};
            return Chain(all(in[0]), links(), in.subspan(1), saved, 0).backward(all(dy), into.subspan(1), target);
        }
        with_type(dy.dtype, [&](auto zero) { dense_backward<decltype(zero)>(dy, into, in, saved); });
    }

    template <class T>
    void dense_backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        const kernels::ConvShape s = conv_shape(in[0], in[1], link.stride);
        const kernels::Stream stream = kernel_stream();
        const NormState norm{saved[1], saved[2], saved[3], saved[4]};
        const kernels::Normed<T> y = normed<T>(saved[0], norm);
        const kernels::NormedGradient<T> g{{dy.as<T>(), s.c_out, 1}, y.x.x, y.scale, y.shift, y.activation};
        double* sums = doubles(2 * static_cast<std::size_t>(s.c_out));
        kernels::link_sums<T>(stream, s.pixels(), s.c_out, g, sums,
                              workspace(kernels::link_sums_workspace(stream, s.pixels(), s.c_out)));
        const NormGradient fold =
            NormGradient::make(link.norm, norm, s.pixels(), sums, sums + s.c_out, in[2], into[2], into[3]);
        if (!into[0] && !into[1]) return;
        Tensor dz = empty(dy.shape, dy.dtype);
        kernels::link_gradient<T>(stream, s.pixels(), s.c_out, g,
                                  {nullptr, fold.scale.as<T>(), fold.slope.as<T>(), fold.shift.as<T>()}, dz.as<T>());
        kernels::conv_backward<T>(stream, s, in[0].as<T>(), {}, in[1].as<T>(), dz.as<T>(), {}, into[0].as<T>(),
                                  into[0].accumulate(), into[1].as<T>(), into[1].accumulate(),
                                  workspace(kernels::conv_backward_workspace(stream, s, sizeof(T))));
    }

    Tensor reference(Inputs in) const {
        const Tensor y = batch_norm(conv2d(in[0], in[1], link.stride), in[2], in[3], link.norm);
        return link.activation == Activation::relu6 ? relu6(y) : link.activation == Activation::relu ? relu(y) : y;
    }

    static std::vector<Case> cases();
};

/// Of samples in [-1, 1], so that norms reach the 6 of ReLU6.
Tensor eightfold(const Tensor& gamma) {
    const Tensor twice = add(gamma, gamma), four = add(twice, twice);
    return add(four, four);
}

std::vector<Case> ConvAct::cases() {
    auto sample = [](const std::string& what, Shape x, Shape w, int stride, Activation activation, bool affine,
                     std::vector<bool> differentiable = {}) {
        Case c{what, {x, w}, {}, std::move(differentiable)};
        if (affine) c.inputs.insert(c.inputs.end(), 2, Shape({w[3]}));
        c.run = [=](Inputs in) {
            return conv_act(in[0], {in[1], affine ? eightfold(in[2]) : Tensor{}, affine ? in[3] : Tensor{}, {}},
                            activation, stride);
        };
        return c;
    };
    std::vector<Case> all{
        sample("stem", {3, 7, 6, 3}, {3, 3, 3, 16}, 2, Activation::relu, false),
        sample("stem, affine", {2, 6, 5, 3}, {3, 3, 3, 5}, 2, Activation::relu6, true),
        sample("one picture", {1, 5, 4, 3}, {3, 3, 3, 4}, 1, Activation::relu6, true),
        sample("one channel", {2, 3, 4, 2}, {3, 3, 2, 1}, 1, Activation::relu, true),
        sample("1x1", {2, 3, 5, 6}, {1, 1, 6, 7}, 1, Activation::relu6, true),
        sample("1x1, wide", {3, 3, 2, 33}, {1, 1, 33, 40}, 1, Activation::relu, false),
        sample("1x1, stride 2", {2, 5, 6, 4}, {1, 1, 4, 6}, 2, Activation::none, true),
        sample("several chunks", {35, 2, 3, 2}, {1, 1, 2, 3}, 1, Activation::relu, true),
        sample("weights only", {2, 4, 4, 3}, {3, 3, 3, 5}, 2, Activation::relu, true, {false, true, true, true}),
        sample("norm only", {2, 4, 4, 3}, {3, 3, 3, 5}, 2, Activation::relu, true, {false, false, true, true}),
        sample("1x1, input only", {2, 4, 4, 3}, {1, 1, 3, 5}, 1, Activation::relu, true, {true, false, false, false})};
    all.push_back({"all used twice", all[4].inputs, [run = all[4].run](Inputs in) { return add(run(in), run(in)); }});
    return all;
}

}  // namespace

Tensor conv_act(const Tensor& x, const NormedConv& conv, kernels::Activation activation, int stride) {
    return apply(ConvAct{{activation, stride, conv.norm}}, {x, conv.w, conv.gamma, conv.beta});
}

}  // namespace nascent
