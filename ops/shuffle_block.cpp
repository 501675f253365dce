#include "ops/shuffle_block.h"

#include <array>

#include "ops/reference.h"

namespace nascent {
namespace {

using kernels::Activation;

/// Inputs: x, then main's, then the projection's.
struct ShuffleBlock {
    static constexpr const char* name = "shuffle_block";
    bool operator==(const ShuffleBlock&) const = default;
    ShuffleOrder order;
    int stride;
    std::vector<ChainLink> main, projection;

    Inputs of_main(Inputs in) const { return in.subspan(1, 3 * main.size()); }
    Inputs of_projection(Inputs in) const { return in.subspan(1 + 3 * main.size()); }
    bool interleaved() const { return order == ShuffleOrder::halves; }

    /// Channels of x that the branch reads, and with stride 1 those that go round it.
    ChannelView through(const Tensor& x) const {
        const int c = image_of(x).c;
        if (stride == 2) return {x, 0, 1, c};
        NASCENT_CHECK(c % 2 == 0, runtime, "expected an even number of channels, got {}", x.shape.text());
        return interleaved() ? ChannelView{x, c / 2, 1, c / 2} : ChannelView{x, 1, 2, c / 2};
    }
    ChannelView round(const Tensor& x) const {
        const int c = image_of(x).c;
        return {x, 0, interleaved() ? 1 : 2, c / 2};
    }
    /// Channels of y that come from the projection or from round the branch, and those from the branch.
    ChannelView first(const Tensor& y, int count) const { return {y, 0, interleaved() ? 2 : 1, count}; }
    ChannelView second(const Tensor& y, int before, int count) const {
        return interleaved() ? ChannelView{y, 1, 2, count} : ChannelView{y, before, 1, count};
    }

    /// saved: main's, then the projection's.
    Tensor forward(Inputs in, Saved& saved) const {
        const ChannelView x = through(in[0]);
        Chain branch(x, main, of_main(in));
        std::vector<Chain> other;
        if (stride == 2) other.emplace_back(x, projection, of_projection(in));
        const int before = stride == 2 ? other[0].channels() : x.channels;
        NASCENT_CHECK(!interleaved() || before == branch.channels(), runtime,
                      "halves to be shuffled have {} and {} channels", before, branch.channels());
        const Shape part = branch.output_shape();
        Tensor y = empty({part[0], part[1], part[2], before + branch.channels()}, in[0].dtype);
        branch.allocate();
        branch.save(saved);
        branch.forward();
        if (stride == 2) {
            other[0].allocate();
            other[0].save(saved);
            other[0].forward();
        }
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            const auto pass = stride == 2 ? other[0].output<T>() : going_round<T>(in[0]);
            kernels::chain_output<T>(kernel_stream(), y.size() / static_cast<std::size_t>(y.shape[3]), pass,
                                     branch.output<T>(), interleaved(), nullptr, y.as<T>());
        });
        return y;
    }
    template <class T>
    kernels::ChainPart<T> going_round(const Tensor& x) const {
        const ChannelView v = round(x);
        const kernels::Channels<T> c = v.as<T>();
        return {{{c.x, c.pixel, c.step}}, v.channels};
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        const ChannelView x = through(in[0]);
        const Chain branch(x, main, of_main(in), saved, 0);
        const std::span<Into> main_into = into.subspan(1, 3 * main.size());
        ChainTarget target;
        if (into[0]) {
            target.da = through(into[0].grad);
            target.accumulate = into[0].accumulate();
        }
        const int before = static_cast<int>(dy.shape[3]) - branch.channels();
        if (stride == 1) {
            if (into[0]) {
                target.round_da = round(into[0].grad);
                target.round_g = first(dy, before);
            }
        } else {
            const Chain other(x, projection, of_projection(in), saved, 5 * main.size());
            other.backward(first(dy, before), into.subspan(1 + 3 * main.size()), target);
            target.accumulate = true;
        }
        branch.backward(second(dy, before, branch.channels()), main_into, target);
    }

    /// Depthwise convolutions have no ReLU behind their norm, 1x1 have one.
    static Tensor branch(const Tensor& x, Inputs weights, const std::vector<ChainLink>& links) {
        Tensor y = x;
        for (std::size_t i = 0; i < links.size(); i++) {
            const Tensor& w = weights[3 * i];
            const bool depth = w.shape.rank() == 3;
            const Tensor z = depth ? depthwise(y, w, links[i].stride) : conv2d(y, w);
            y = batch_norm(z, weights[3 * i + 1], weights[3 * i + 2], links[i].norm);
            if (!depth) y = relu(y);
        }
        return y;
    }

    Tensor reference(Inputs in) const {
        const std::int64_t c = in[0].shape[3];
        // The even channels, then the odd ones: a shuffle of c / 2 groups.
        const Tensor x = stride == 1 && !interleaved() ? channel_shuffle(in[0], static_cast<int>(c / 2)) : in[0];
        const int half = static_cast<int>(c / 2);
        const Tensor second = branch(stride == 2 ? x : slice_channels(x, half, half), of_main(in), main);
        const Tensor first = stride == 2 ? branch(x, of_projection(in), projection) : slice_channels(x, 0, half);
        const std::array parts{first, second};
        const Tensor y = concat(parts);
        return interleaved() ? channel_shuffle(y, 2) : y;
    }

    static std::vector<Case> cases();
};

std::vector<ChainLink> links_of(std::span<const NormedConv> convs, int stride) {
    std::vector<ChainLink> links;
    for (const NormedConv& c : convs) {
        const bool depthwise = c.w.shape.rank() == 3;
        links.push_back({depthwise ? Activation::none : Activation::relu, depthwise ? stride : 1, c.norm});
        if (depthwise) stride = 1;  // only the first one's
    }
    return links;
}

/// A sample: x, main's weights, the projection's.
struct Sample {
    ShuffleOrder order;
    int stride, main, projection;  // convolutions
    bool affine;
};
Tensor run_sample(const Sample& s, Inputs in) {
    auto convs = [&](std::size_t at, int count) {
        std::vector<NormedConv> all;
        for (int i = 0; i < count; i++, at += s.affine ? 3 : 1)
            all.push_back({in[at], s.affine ? in[at + 1] : Tensor{}, s.affine ? in[at + 2] : Tensor{}, {}});
        return all;
    };
    return shuffle_block(in[0], s.order, s.stride, convs(1, s.main),
                         convs(1 + static_cast<std::size_t>(s.main * (s.affine ? 3 : 1)), s.projection));
}
struct Sizes {
    int n, h, w, c, mid, out;  // c: of the branch's input; out: of its output
};
Case sample(const std::string& what, ShuffleOrder order, int stride, int k, bool xception, bool affine, Sizes z,
            std::vector<bool> differentiable = {}) {
    Case result{what, {{z.n, z.h, z.w, stride == 1 ? 2 * z.c : z.c}}, {}, std::move(differentiable)};
    auto push = [&](const Shape& w) {
        result.inputs.push_back(w);
        if (affine) result.inputs.insert(result.inputs.end(), 2, Shape({w[w.rank() - 1]}));
    };
    const int other = order == ShuffleOrder::halves && stride == 2 ? z.out : z.c;
    if (xception) {
        push({3, 3, z.c}), push({1, 1, z.c, z.mid}), push({3, 3, z.mid});
        push({1, 1, z.mid, z.mid}), push({3, 3, z.mid}), push({1, 1, z.mid, z.out});
    } else {
        push({1, 1, z.c, z.mid}), push({k, k, z.mid}), push({1, 1, z.mid, z.out});
    }
    if (stride == 2) push({k, k, z.c}), push({1, 1, z.c, other});
    const Sample s{order, stride, xception ? 6 : 3, stride == 2 ? 2 : 0, affine};
    result.run = [s](Inputs in) { return run_sample(s, in); };
    return result;
}

std::vector<Case> ShuffleBlock::cases() {
    constexpr ShuffleOrder parity = ShuffleOrder::parity, halves = ShuffleOrder::halves;
    std::vector<bool> input_only(10, false), weights_only(10, true);
    input_only[0] = true, weights_only[0] = false;
    std::vector<bool> last_only(4, false), middle_only(4, false);
    last_only[3] = true, middle_only[2] = true;
    std::vector<Case> all{
        sample("Shuffle 3", parity, 1, 3, false, false, {2, 5, 4, 4, 6, 4}),
        sample("Shuffle 5, affine", parity, 1, 5, false, true, {2, 4, 5, 5, 3, 5}),
        sample("Shuffle 7, one picture", parity, 1, 7, false, false, {1, 5, 6, 3, 4, 3}),
        sample("Shuffle 3, several chunks", parity, 1, 3, false, false, {35, 3, 2, 2, 3, 2}),
        sample("Shuffle 3, wide", parity, 1, 3, false, false, {2, 3, 3, 17, 35, 17}),
        sample("Xception", parity, 1, 3, true, false, {2, 4, 5, 4, 5, 4}),
        sample("Xception, wide", parity, 1, 3, true, false, {1, 3, 4, 18, 33, 18}),
        sample("Shuffle 3, stride 2", parity, 2, 3, false, false, {2, 5, 6, 3, 4, 5}),
        sample("Shuffle 5, stride 2, affine", parity, 2, 5, false, true, {2, 6, 5, 3, 4, 4}),
        sample("Shuffle 7, stride 2, one picture", parity, 2, 7, false, false, {1, 7, 6, 3, 2, 5}),
        sample("Xception, stride 2", parity, 2, 3, true, false, {2, 5, 5, 3, 4, 5}),
        sample("stride 2, several chunks", parity, 2, 3, false, false, {33, 3, 4, 2, 3, 2}),
        sample("halves", halves, 1, 3, false, true, {2, 4, 3, 5, 4, 5}),
        sample("halves, Xception", halves, 1, 3, true, false, {2, 3, 4, 3, 4, 3}),
        sample("halves, stride 2", halves, 2, 5, false, true, {2, 5, 6, 3, 4, 7}),
        sample("halves, stride 2, Xception, wide", halves, 2, 3, true, false, {1, 4, 4, 5, 6, 18}),
        sample("input only", parity, 1, 3, false, true, {2, 3, 4, 3, 4, 3}, input_only),
        sample("weights only", halves, 1, 3, false, true, {2, 3, 4, 3, 4, 3}, weights_only),
        sample("last convolution only", parity, 1, 3, false, false, {2, 3, 4, 3, 4, 3}, last_only),
        sample("middle convolution only", parity, 1, 3, false, false, {2, 3, 4, 3, 4, 3}, middle_only)};
    all.push_back({"input used elsewhere", all[12].inputs,
                   [run = all[12].run](Inputs in) { return add(add(in[0], run(in)), run(in)); }});
    all.push_back(
        {"stride 2, all used twice", all[7].inputs, [run = all[7].run](Inputs in) { return add(run(in), run(in)); }});
    return all;
}

}  // namespace

Tensor shuffle_block(const Tensor& x, ShuffleOrder order, int stride, std::span<const NormedConv> main,
                     std::span<const NormedConv> projection) {
    NASCENT_CHECK(stride == 1 || stride == 2, runtime, "stride: expected 1 or 2, got {}", stride);
    NASCENT_CHECK(!main.empty() && projection.empty() == (stride == 1), runtime,
                  "stride {}: {} convolutions in the branch, {} in the projection", stride, main.size(),
                  projection.size());
    std::vector<Tensor> in{x};
    append_inputs(in, main);
    append_inputs(in, projection);
    return nascent::apply(ShuffleBlock{order, stride, links_of(main, stride), links_of(projection, stride)}, in);
}

}  // namespace nascent
