#include "ops/residual_block.h"

#include <array>

#include "ops/norm_list.h"
#include "ops/reference.h"
#include "ops/rounding.h"

namespace nascent {
namespace {

/// Inputs in the order of the members of ResidualWeights, after x.
struct ResidualBlock {
    static constexpr const char* name = "residual_block";
    bool operator==(const ResidualBlock&) const = default;
    enum { x, conv_a, gamma_a, beta_a, conv_b, gamma_b, beta_b, shortcut };
    NormArgs norm_a, norm_b;

    struct Shapes {
        kernels::Image in, out;
        kernels::ConvShape a, b, shortcut;
    };
    static Shapes shapes(Inputs in) {
        Shapes s;
        s.in = image_of(in[x]);
        NASCENT_CHECK(s.in.h % 2 == 0 && s.in.w % 2 == 0, runtime, "expected even height and width, got {}",
                      in[x].shape.text());
        s.a = conv_shape(in[x], in[conv_a], 2);
        s.out = {s.a.n, s.a.out_h(), s.a.out_w(), s.a.c_out};
        s.b = {s.out.n, s.out.h, s.out.w, s.out.c, s.out.c, 3, 1};
        s.shortcut = {s.out.n, s.out.h, s.out.w, s.in.c, s.out.c, 1, 1};
        NASCENT_CHECK(in[conv_a].shape[0] == 3 && in[conv_b].shape == Shape({3, 3, s.out.c, s.out.c}) &&
                          in[shortcut].shape == Shape({1, 1, s.in.c, s.out.c}),
                      runtime, "weights {}, {} and {} do not fit x {}", in[conv_a].shape.text(),
                      in[conv_b].shape.text(), in[shortcut].shape.text(), in[x].shape.text());
        return s;
    }
    static Tensor image_tensor(const kernels::Image& i, DType dtype) { return empty({i.n, i.h, i.w, i.c}, dtype); }
    static NormState state(const Saved& saved, std::size_t at) {
        return {saved[at], saved[at + 1], saved[at + 2], saved[at + 3]};
    }

    /// saved: z_a, z_b, the state of norm a, the state of norm b.
    Tensor forward(Inputs in, Saved& saved) const {
        const Shapes s = shapes(in);
        const DType dtype = in[x].dtype;
        Tensor y = image_tensor(s.out, dtype);
        Tensor za = image_tensor(s.out, dtype), zb = image_tensor(s.out, dtype);
        NormState a = NormState::make(s.out.c, dtype), b = NormState::make(s.out.c, dtype);
        saved = {za, zb, a.scale, a.shift, a.mean, a.rstd, b.scale, b.shift, b.mean, b.rstd};
        ScratchScope scratch(current_arena());
        with_stored(dtype, [&](auto zero) {
            using S = decltype(zero);
            using T = kernels::Compute<S>;
            const kernels::Stream stream = kernel_stream();
            double* sums = doubles(2 * static_cast<std::size_t>(s.out.c));
            auto conv = [&](const kernels::ConvShape& shape, const Tensor& input, kernels::Prologue<S> prologue,
                            const Tensor& w, const Tensor& z, double* to) {
                kernels::conv_forward<S>(stream, shape, input.as<S>(), prologue, conv_weights<S>(w), z.as<S>(), to,
                                         workspace(kernels::conv_forward_workspace(stream, shape, sizeof(S))));
            };
            auto conv_norm = [&](const kernels::ConvShape& shape, const Tensor& input, kernels::Prologue<S> prologue,
                                 int w, const Tensor& z, const NormArgs& norm, NormState& state) {
                const auto at = static_cast<std::size_t>(w);  // gamma and beta follow
                ScratchScope inner(current_arena());
                double* const to = norm.training ? sums : nullptr;
                FinishWithin within(state, norm, s.out.pixels(), to, in[at + 1], in[at + 2]);
                conv(shape, input, prologue, in[at], z, to);
                within.finish();
            };
            conv_norm(s.a, in[x], {nullptr, nullptr, true}, conv_a, za, norm_a, a);
            conv_norm(s.b, za, {a.scale.as<T>(), a.shift.as<T>(), true}, conv_b, zb, norm_b, b);
            Tensor pooled = image_tensor({s.out.n, s.out.h, s.out.w, s.in.c}, dtype), skip = image_tensor(s.out, dtype);
            kernels::avg_pool_2x2<S>(stream, s.in, in[x].as<S>(), pooled.as<S>());
            {
                ScratchScope inner(current_arena());
                conv(s.shortcut, pooled, {}, in[shortcut], skip, nullptr);
            }
            const std::array norms{kernels::NormTerm<S>{zb.as<S>(), b.scale.as<T>(), b.shift.as<T>()}};
            const std::array skips{static_cast<const S*>(skip.as<S>())};
            kernels::node_combine<S>(stream, s.out, norms, {}, skips, y.as<S>());
        });
        return y;
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        with_stored(dy.dtype, [&](auto zero) { run_backward<decltype(zero)>(dy, into, in, saved); });
    }

    template <class S>
    void run_backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        using T = kernels::Compute<S>;
        const Shapes s = shapes(in);
        const kernels::Stream stream = kernel_stream();
        const NormState a = state(saved, 2), b = state(saved, 6);
        auto conv = [&](const kernels::ConvShape& shape, const Tensor& input, kernels::Prologue<S> prologue,
                        const Tensor& w, const Tensor& g, kernels::NormFold<S> fold, const Into& dx, const Into& dw) {
            ScratchScope inner(current_arena());
            kernels::conv_backward<S>(stream, shape, input.as<S>(), prologue, conv_weights<S>(w), g.as<S>(), fold,
                                      dx.as<S>(), dx.accumulate(), dw.as<T>(), dw.accumulate(),
                                      workspace(kernels::conv_backward_workspace(stream, shape, sizeof(S))));
        };
        auto fold = [&](const NormArgs& args, const NormState& st, const Tensor& z, const Tensor& g, int gamma,
                        int beta) {
            const auto at = static_cast<std::size_t>(gamma);
            const NormGradient n =
                NormGradient::make(args, st, g, z, in[at], into[at], into[static_cast<std::size_t>(beta)]);
            return kernels::NormFold<S>{z.as<S>(), n.scale.as<T>(), n.slope.as<T>(), n.shift.as<T>()};
        };
        const bool through_a = into[x] || into[conv_a] || into[gamma_a] || into[beta_a];
        Tensor da =
            through_a ? image_tensor(s.out, dy.dtype) : Tensor{};  // gradient of BN_a's output, masked by the ReLU
        conv(s.b, saved[0], {a.scale.as<T>(), a.shift.as<T>(), true}, in[conv_b], dy,
             fold(norm_b, b, saved[1], dy, gamma_b, beta_b), Into{da, Write::overwrite}, into[conv_b]);
        if (through_a)
            conv(s.a, in[x], {nullptr, nullptr, true}, in[conv_a], da, fold(norm_a, a, saved[0], da, gamma_a, beta_a),
                 into[x], into[conv_a]);
        if (!into[x] && !into[shortcut]) return;
        const kernels::Image half{s.out.n, s.out.h, s.out.w, s.in.c};
        Tensor pooled = image_tensor(half, dy.dtype), dpooled = into[x] ? image_tensor(half, dy.dtype) : Tensor{};
        kernels::avg_pool_2x2<S>(stream, s.in, in[x].as<S>(), pooled.as<S>());
        conv(s.shortcut, pooled, {}, in[shortcut], dy, {}, Into{dpooled, Write::overwrite}, into[shortcut]);
        if (into[x]) kernels::avg_pool_2x2_backward<S>(stream, s.in, dpooled.as<S>(), into[x].as<S>(), true);
    }

    Tensor reference(Inputs in) const {
        const std::int64_t c = in[conv_a].shape[2], d = in[conv_a].shape[3];
        const RoundTo half = factors_of(c, d), full = factors_of(d, d);
        auto strided = [](const Tensor& t, const Tensor& w) { return conv2d(t, w, 2); };
        auto conv = [](const Tensor& t, const Tensor& w) { return conv2d(t, w); };
        // On the way back the pool adds to the gradient that the first convolution leaves.
        const Tensor pooled = stored(avg_pool(read(in[x]), 2, 2, 0));
        const Tensor a =
            batch_norm(product(strided, relu(read(in[x])), in[conv_a], half), in[gamma_a], in[beta_a], norm_a);
        const Tensor b = batch_norm(product(conv, relu(rounded(a, RoundTo::nothing, RoundTo::bf16)), in[conv_b], full),
                                    in[gamma_b], in[beta_b], norm_b);
        const Tensor skip = product(conv, rounded(pooled, RoundTo::nothing, RoundTo::bf16), in[shortcut], half);
        return stored(add(b, skip));
    }

    static std::vector<Case> cases() {
        auto run = [](Inputs in) {
            return residual_block(
                in[x], {in[conv_a], in[gamma_a], in[beta_a], in[conv_b], in[gamma_b], in[beta_b], in[shortcut]}, {},
                {});
        };
        auto inputs = [](int n, int h, int w, int c, int d) {
            return std::vector<Shape>{{n, h, w, c}, {3, 3, c, d}, {d}, {d}, {3, 3, d, d}, {d}, {d}, {1, 1, c, d}};
        };
        std::vector<Case> all{
            {"usual", inputs(3, 4, 6, 4, 8), run},
            {"eights of channels", inputs(3, 4, 6, 8, 16), run},
            {"eights of channels to fours", inputs(2, 4, 4, 8, 12), run},
            {"odd channels, one picture", inputs(1, 6, 4, 3, 5), run},
            {"several chunks", inputs(35, 2, 4, 2, 3), run},
            {"weights only", inputs(2, 4, 4, 2, 3), run, {false, true, true, true, true, true, true, true}},
            {"input only", inputs(2, 4, 4, 2, 3), run, {true, false, false, false, false, false, false, false}},
            {"shortcut only", inputs(2, 4, 4, 2, 3), run, {false, false, false, false, false, false, false, true}},
            {"second half only", inputs(2, 4, 4, 2, 3), run, {false, false, false, false, true, true, true, false}},
            {"input used elsewhere", inputs(2, 4, 4, 2, 3),
             [run](Inputs in) { return add(run(in), add(conv2d(avg_pool(in[x], 2, 2, 0), in[shortcut]), run(in))); }}};
        for (std::size_t i = 0; i + 1 < all.size(); i++) all[i].activations = 1;  // the last has ops without bf16
        return all;
    }
};

}  // namespace

Tensor residual_block(const Tensor& x, const ResidualWeights& w, const NormArgs& norm_a, const NormArgs& norm_b) {
    return apply(ResidualBlock{norm_a, norm_b},
                 {x, w.conv_a, w.gamma_a, w.beta_a, w.conv_b, w.gamma_b, w.beta_b, w.shortcut});
}

}  // namespace nascent
