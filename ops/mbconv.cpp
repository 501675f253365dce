#include "ops/mbconv.h"

#include "ops/reference.h"

namespace nascent {
namespace {

using kernels::Activation;

/// Inputs: x, then the convolutions'.
struct MbConv {
    static constexpr const char* name = "mbconv";
    bool operator==(const MbConv&) const = default;
    std::vector<ChainLink> links;

    static ChannelView all(const Tensor& x) { return {x, 0, 1, image_of(x).c}; }
    bool residual(const Tensor& x, const Chain& chain) const { return chain.output_shape() == x.shape; }

    Tensor forward(Inputs in, Saved& saved) const {
        Chain chain(all(in[0]), links, in.subspan(1));
        Tensor y = empty(chain.output_shape(), in[0].dtype);
        chain.allocate();
        chain.save(saved);
        chain.forward();
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::chain_output<T>(kernel_stream(), y.size() / static_cast<std::size_t>(y.shape[3]),
                                     chain.output<T>(), {}, false, residual(in[0], chain) ? in[0].as<T>() : nullptr,
                                     y.as<T>());
        });
        return y;
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        const Chain chain(all(in[0]), links, in.subspan(1), saved, 0);
        ChainTarget target;
        if (into[0]) {
            target.da = all(into[0].grad);
            target.accumulate = into[0].accumulate();
            if (residual(in[0], chain)) target.skip = all(dy);
        }
        chain.backward(all(dy), into.subspan(1), target);
    }

    Tensor reference(Inputs in) const {
        Tensor y = in[0];
        for (std::size_t i = 0; i < links.size(); i++) {
            const Tensor& w = in[1 + 3 * i];
            const Tensor z = w.shape.rank() == 3 ? depthwise(y, w, links[i].stride) : conv2d(y, w);
            y = batch_norm(z, in[2 + 3 * i], in[3 + 3 * i], links[i].norm);
            if (i + 1 < links.size()) y = relu6(y);
        }
        return y.shape == in[0].shape ? add(y, in[0]) : y;
    }

    static std::vector<Case> cases();
};

/// Of samples in [-1, 1], so that norms reach the 6 of ReLU6.
Tensor eightfold(const Tensor& gamma) {
    const Tensor twice = add(gamma, gamma), four = add(twice, twice);
    return add(four, four);
}

struct Sizes {
    int n, h, w, c, expanded, out;  // expanded 0: no expansion
};
Case sample(const std::string& what, int k, int stride, bool affine, Sizes z, std::vector<bool> differentiable = {}) {
    Case result{what, {{z.n, z.h, z.w, z.c}}, {}, std::move(differentiable)};
    auto push = [&](const Shape& w) {
        result.inputs.push_back(w);
        if (affine) result.inputs.insert(result.inputs.end(), 2, Shape({w[w.rank() - 1]}));
    };
    const int middle = z.expanded ? z.expanded : z.c;
    if (z.expanded) push({1, 1, z.c, middle});
    push({k, k, middle}), push({1, 1, middle, z.out});
    const std::size_t count = z.expanded ? 3 : 2;
    result.run = [=](Inputs in) {
        std::vector<NormedConv> convs;
        for (std::size_t i = 0, at = 1; i < count; i++, at += affine ? 3 : 1)
            convs.push_back({in[at], affine ? eightfold(in[at + 1]) : Tensor{}, affine ? in[at + 2] : Tensor{}, {}});
        return mbconv(in[0], stride, convs);
    };
    return result;
}

std::vector<Case> MbConv::cases() {
    std::vector<bool> input_only(10, false), weights_only(10, true), first_only(10, false);
    input_only[0] = true, weights_only[0] = false, first_only[1] = true;
    std::vector<Case> all{sample("3x3, residual", 3, 1, true, {2, 4, 5, 3, 9, 3}),
                          sample("5x5, stride 2", 5, 2, true, {2, 6, 5, 3, 7, 4}),
                          sample("7x7, one picture", 7, 1, true, {1, 5, 6, 4, 6, 4}),
                          sample("7x7, stride 2", 7, 2, false, {1, 7, 8, 3, 5, 6}),
                          sample("wider", 3, 1, false, {2, 3, 4, 3, 6, 5}),
                          sample("several chunks", 3, 1, true, {34, 2, 3, 2, 4, 2}),
                          sample("wide, residual", 3, 1, true, {2, 3, 3, 17, 34, 17}),
                          sample("wide, stride 2", 5, 2, true, {1, 5, 4, 18, 33, 20}),
                          sample("without expansion", 3, 1, true, {2, 4, 5, 6, 0, 4}),
                          sample("without expansion, residual", 3, 1, true, {2, 4, 3, 5, 0, 5}),
                          sample("input only", 3, 1, true, {2, 3, 4, 3, 5, 3}, input_only),
                          sample("weights only", 3, 2, true, {2, 3, 4, 3, 5, 3}, weights_only),
                          sample("expansion only", 3, 2, true, {2, 3, 4, 3, 5, 3}, first_only)};
    all.push_back({"input used elsewhere", all[0].inputs,
                   [run = all[0].run](Inputs in) { return add(add(in[0], run(in)), run(in)); }});
    return all;
}

}  // namespace

Tensor mbconv(const Tensor& x, int stride, std::span<const NormedConv> convs) {
    NASCENT_CHECK(convs.size() == 2 || convs.size() == 3, runtime,
                  "{} convolutions: expected 3, or 2 without expansion", convs.size());
    std::vector<ChainLink> links;
    for (const NormedConv& c : convs) {
        const bool depthwise = c.w.shape.rank() == 3;
        links.push_back({&c == &convs.back() ? Activation::none : Activation::relu6, depthwise ? stride : 1, c.norm});
    }
    std::vector<Tensor> in{x};
    append_inputs(in, convs);
    return nascent::apply(MbConv{std::move(links)}, in);
}

}  // namespace nascent
