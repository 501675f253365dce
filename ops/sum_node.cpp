#include "ops/sum_node.h"

#include <optional>

#include "ops/norm_list.h"
#include "ops/reference.h"

namespace nascent {
namespace {

/// Inputs: the sources, then for each convolution its weight and, with `affine`, gamma and beta.
struct SumNode {
    static constexpr const char* name = "sum_node";
    bool operator==(const SumNode&) const = default;
    struct Term {
        EdgeOp op;
        std::size_t source;
        std::size_t weight = 0;  // index into the inputs; gamma and beta follow where `affine`
        bool affine = false;
        NormArgs norm = {};
        bool operator==(const Term&) const = default;
    };
    std::size_t sources;
    std::vector<Term> terms;

    Tensor gamma(Inputs in, const Term& t) const { return t.affine ? in[t.weight + 1] : Tensor{}; }
    Tensor beta(Inputs in, const Term& t) const { return t.affine ? in[t.weight + 2] : Tensor{}; }

    void check(Inputs in) const {
        for (std::size_t i = 1; i < sources; i++)
            NASCENT_CHECK(in[i].shape == in[0].shape && in[i].dtype == in[0].dtype, runtime,
                          "source {} is {}, source 0 {}", i, in[i].shape.text(), in[0].shape.text());
    }

    /// saved: for each convolution z, scale, shift, mean, rstd.
    Tensor forward(Inputs in, Saved& saved) const {
        check(in);
        const kernels::Image image = image_of(in[0]);
        Tensor y = empty(in[0].shape, in[0].dtype);
        std::vector<NormState> states;
        for (const Term& t : terms) {
            if (t.op != EdgeOp::conv) continue;
            Tensor z = empty(y.shape, y.dtype);
            NormState s = NormState::make(image.c, y.dtype);
            saved.insert(saved.end(), {z, s.scale, s.shift, s.mean, s.rstd});
        }
        with_stored(y.dtype, [&](auto zero) { run<decltype(zero)>(in, saved, y); });
        return y;
    }

    template <class S>
    void run(Inputs in, const Saved& saved, const Tensor& y) const {
        using T = kernels::Compute<S>;
        const kernels::Image image = image_of(in[0]);
        const kernels::Stream stream = kernel_stream();
        std::vector<kernels::NormTerm<S>> norms;
        std::vector<const S*> pools, skips;
        for (const Term& t : terms) {
            if (t.op == EdgeOp::pool) pools.push_back(in[t.source].as<S>());
            if (t.op == EdgeOp::skip) skips.push_back(in[t.source].as<S>());
            if (t.op != EdgeOp::conv) continue;
            const std::size_t at = 5 * norms.size();
            const kernels::ConvShape s = conv_shape(in[t.source], in[t.weight], 1);
            NASCENT_CHECK(s.c_out == s.c_in, runtime, "weights {} change the number of channels",
                          in[t.weight].shape.text());
            NormState state{saved[at + 1], saved[at + 2], saved[at + 3], saved[at + 4]};
            const ScratchScope own(current_arena());
            double* sums = t.norm.training ? doubles(2 * static_cast<std::size_t>(s.c_out)) : nullptr;
            FinishWithin within(state, t.norm, s.pixels(), sums, gamma(in, t), beta(in, t));
            kernels::conv_forward<S>(stream, s, in[t.source].as<S>(), {nullptr, nullptr, true},
                                     conv_weights<S>(in[t.weight]), saved[at].as<S>(), sums,
                                     workspace(kernels::conv_forward_workspace(stream, s, sizeof(S))));
            within.finish();
            norms.push_back({saved[at].as<S>(), state.scale.as<T>(), state.shift.as<T>()});
        }
        kernels::node_combine<S>(stream, image, norms, pools, skips, y.as<S>());
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        with_stored(dy.dtype, [&](auto zero) { run_backward<decltype(zero)>(dy, into, in, saved); });
    }

    template <class S>
    void run_backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        using T = kernels::Compute<S>;
        const kernels::Image image = image_of(dy);
        const kernels::Stream stream = kernel_stream();
        const auto channels = static_cast<std::size_t>(image.c);
        // Skips and pools first: one pass writes a source's gradient, convolutions then add to it.
        std::vector<kernels::NodeInput<S>> first, more;
        for (std::size_t source = 0; source < sources; source++) pass_through<S>(source, into[source], first, more);
        if (!first.empty()) kernels::node_input_gradients<S>(stream, image, dy.as<S>(), first);
        for (const kernels::NodeInput<S>& again : more)
            kernels::node_input_gradients<S>(stream, image, dy.as<S>(), std::span(&again, 1));
        std::vector<const S*> z;
        for (std::size_t i = 0; i < saved.size(); i += 5) z.push_back(saved[i].as<S>());
        if (z.empty()) return;
        double* sums = doubles((1 + z.size()) * channels);
        const bool one_by_one = stream.where == kernels::Where::cpu;
        std::vector<NormGradient> maps;
        const std::vector<kernels::NormFoldOf<T>> folds = all_folds<T>(maps, into, in, saved, image);
        {
            const ScratchScope own(current_arena());
            void* space = workspace(kernels::norm_sums_workspace(stream, image, static_cast<int>(z.size())));
            fold_within<T>(stream, sums, folds,
                           [&] { kernels::norm_backward_sums<S>(stream, image, dy.as<S>(), z, sums, space); });
        }
        HeldGradients<T> held(stream, !one_by_one);
        std::size_t conv = 0;
        for (const Term& t : terms) {
            if (t.op != EdgeOp::conv) continue;
            const std::size_t at = 5 * conv++;
            const kernels::ConvShape s = conv_shape(in[t.source], in[t.weight], 1);
            std::optional<ScratchScope> own;
            if (one_by_one) own.emplace(current_arena());
            const NormGradient& g = maps[conv - 1];
            Into& dx = into[t.source];
            Into& dw = into[t.weight];
            kernels::conv_backward<S>(
                stream, s, in[t.source].as<S>(), {nullptr, nullptr, true}, conv_weights<S>(in[t.weight]), dy.as<S>(),
                {saved[at].as<S>(), g.scale.as<T>(), g.slope.as<T>(), g.shift.as<T>()}, dx.as<S>(), dx.accumulate(),
                dw.as<T>(), dw.accumulate(), workspace(kernels::conv_backward_workspace(stream, s, sizeof(S))));
            dx.how = Write::accumulate;
        }
        held.add();
    }

    /// The batch-norms' maps of all convolutions, and what computes them.
    template <class T>
    std::vector<kernels::NormFoldOf<T>> all_folds(std::vector<NormGradient>& all, std::span<Into> into, Inputs in,
                                                  const Saved& saved, const kernels::Image& image) const {
        std::vector<kernels::NormFoldOf<T>> list;
        for (const Term& t : terms) {
            if (t.op != EdgeOp::conv) continue;
            const std::size_t at = 5 * all.size();
            NormGradient& g = all.emplace_back();
            list.push_back(fold_of<T>(g, t.norm, {saved[at + 1], saved[at + 2], saved[at + 3], saved[at + 4]},
                                      image.pixels(), gamma(in, t), t.affine ? into[t.weight + 1] : Into{},
                                      t.affine ? into[t.weight + 2] : Into{}));
        }
        return list;
    }

    /// A source's first pass, and the others of a source that is named twice.
    template <class S>
    void pass_through(std::size_t source, Into& dx, std::vector<kernels::NodeInput<S>>& first,
                      std::vector<kernels::NodeInput<S>>& more) const {
        if (!dx) return;
        bool any = false;
        // One pass takes one skip and one pool; more of a kind (a source named twice) take more passes.
        int skips = 0, pools = 0;
        for (const Term& t : terms) {
            if (t.source != source) continue;
            any = true;
            skips += t.op == EdgeOp::skip;
            pools += t.op == EdgeOp::pool;
        }
        bool again = false;
        for (; skips > 0 || pools > 0; skips--, pools--) {
            // One value may be two sources: it is written by one pass after the other.
            for (const kernels::NodeInput<S>& other : first) again = again || other.dx == dx.as<S>();
            (again ? more : first).push_back({dx.as<S>(), skips > 0, pools > 0, dx.accumulate()});
            again = true;
            dx.how = Write::accumulate;
        }
        if (any || dx.accumulate()) return;
        // A source no term reads: its gradient was asked for, so it is written, as zero.
        dx.grad.device->fill(dx.grad.data, 0, dx.grad.bytes());
    }

    Tensor reference(Inputs in) const {
        Tensor sum;
        for (const Term& t : terms) {
            const Tensor& x = in[t.source];
            const Tensor y = t.op == EdgeOp::skip ? x
                             : t.op == EdgeOp::pool
                                 ? avg_pool(x, 3, 1, 1)
                                 : batch_norm(conv2d(relu(x), in[t.weight]), gamma(in, t), beta(in, t), t.norm);
            sum = sum.defined() ? add(sum, y) : y;
        }
        if (sum.defined()) return sum;
        sum = empty(in[0].shape, in[0].dtype);
        sum.device->fill(sum.data, 0, sum.bytes());
        return sum;
    }

    static std::vector<Case> cases();
};

/// A case from letters, one per term: 's' skip, 'p' pool, '1' and '3' convolutions, each followed by its source's
/// digit; an 'a' at the end: affine.
Case sample(const std::string& text, const Shape& x, std::vector<bool> differentiable = {}) {
    const bool affine = text.back() == 'a';
    int sources = 0;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) sources = std::max(sources, text[i + 1] - '0' + 1);
    Case c{
        text + " " + x.text(), std::vector<Shape>(static_cast<std::size_t>(sources), x), {}, std::move(differentiable)};
    c.activations = sources;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        if (text[i] != '1' && text[i] != '3') continue;
        c.inputs.push_back({text[i] - '0', text[i] - '0', x[3], x[3]});
        if (affine) c.inputs.insert(c.inputs.end(), {Shape{x[3]}, Shape{x[3]}});
    }
    c.run = [text, affine, sources](Inputs in) {
        std::vector<EdgeTerm> terms;
        auto next = static_cast<std::size_t>(sources);
        for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
            EdgeTerm t{text[i] == 's' ? EdgeOp::skip : text[i] == 'p' ? EdgeOp::pool : EdgeOp::conv, text[i + 1] - '0'};
            if (t.op == EdgeOp::conv) {
                t.weight = in[next++];
                if (affine) t.gamma = in[next++], t.beta = in[next++];
            }
            terms.push_back(t);
        }
        return sum_node(in.subspan(0, static_cast<std::size_t>(sources)), terms);
    };
    return c;
}

std::vector<Case> SumNode::cases() {
    const Shape odd{2, 5, 7, 3};
    std::vector<Case> all{sample("s0", odd),
                          sample("p0", odd),
                          sample("10", odd),
                          sample("30", odd),
                          sample("10a", odd),
                          sample("30a", odd),
                          sample("30s1", odd),
                          sample("10p130s1", odd),
                          sample("s0s1p2", odd),
                          sample("p0p1", odd),
                          sample("301131p2a", {1, 4, 5, 17}),
                          sample("30", {1, 3, 3, 16}),
                          sample("10", {40, 2, 3, 5}),
                          sample("3011", {3, 4, 4, 16}),
                          sample("30p11031s1a", {2, 3, 3, 24}),
                          sample("s0p01030", {2, 4, 3, 6}),
                          sample("s0s0p0", odd),
                          sample("s0p01030s1p11131s2p21232", {2, 3, 4, 5}),
                          sample("3010", {2, 3, 4, 5}, {false, true, true}),
                          sample("30s1", {2, 3, 4, 5}, {true, false, false}),
                          sample("30", {2, 3, 4, 5}, {true, false}),
                          sample("30a", {2, 3, 4, 5}, {false, true, true, true})};
    Case accumulated = sample("30", {2, 4, 3, 5});
    accumulated.what = "a source also used elsewhere";
    accumulated.run = [](Inputs in) {
        const EdgeTerm terms[] = {{EdgeOp::conv, 0, in[1]}};
        return add(sum_node(in.subspan(0, 1), terms), add(in[0], sum_node(in.subspan(0, 1), terms)));
    };
    all.push_back(accumulated);
    Case unread = sample("s0s1", odd);
    unread.what = "a source that no term reads";
    unread.run = [](Inputs in) {
        const EdgeTerm terms[] = {{EdgeOp::skip, 0}};
        return sum_node(in, terms);
    };
    all.push_back(unread);
    all.push_back({"no terms", {odd}, [](Inputs in) { return sum_node(in, {}); }});
    all.back().activations = 1;
    return all;
}

}  // namespace

Tensor sum_node(std::span<const Tensor> sources, std::span<const EdgeTerm> terms) {
    NASCENT_CHECK(!sources.empty(), runtime, "sum_node: no sources");
    SumNode op{sources.size(), {}};
    std::vector<Tensor> inputs(sources.begin(), sources.end());
    for (const EdgeTerm& t : terms) {
        NASCENT_CHECK(t.source >= 0 && static_cast<std::size_t>(t.source) < sources.size(), runtime,
                      "sum_node: no source {}", t.source);
        NASCENT_CHECK(t.op != EdgeOp::constant, runtime, "sum_node: a term that is constant");
        op.terms.push_back({t.op, static_cast<std::size_t>(t.source), inputs.size(), t.gamma.defined(), t.norm});
        if (t.op != EdgeOp::conv) continue;
        inputs.push_back(t.weight);
        if (t.gamma.defined()) inputs.insert(inputs.end(), {t.gamma, t.beta});
    }
    return nascent::apply(op, inputs);  // qualified: a vector would bring std::apply into the search
}

}  // namespace nascent
