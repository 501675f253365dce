#include "kernels/partial.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct ChannelShuffle {
    static constexpr const char* name = "channel_shuffle";
    bool operator==(const ChannelShuffle&) const = default;
    int groups;
    Tensor forward(Inputs in, Saved&) const {
        const kernels::Image image = image_of(in[0]);
        NASCENT_CHECK(groups >= 1 && image.c % groups == 0, runtime, "{} channels cannot be shuffled in {} groups",
                      image.c, groups);
        Tensor y = empty(in[0].shape, in[0].dtype);
        run(false, in[0], y, false);
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs, const Saved&) const {
        if (into[0]) run(true, dy, into[0].grad, into[0].accumulate());
    }
    void run(bool inverse, const Tensor& x, const Tensor& y, bool accumulate) const {
        const kernels::Image image = image_of(x);
        with_type(x.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::channel_shuffle<T>(kernel_stream(), image.pixels(), image.c, groups, inverse, x.as<T>(), image.c,
                                        y.as<T>(), image.c, accumulate);
        });
    }
    static std::vector<Case> cases() {
        auto in = [](int groups) { return [=](Inputs i) { return channel_shuffle(i[0], groups); }; };
        return {{"4", {{2, 3, 5, 16}}, in(4)},
                {"2", {{2, 3, 3, 6}}, in(2)},
                {"3", {{1, 2, 3, 12}}, in(3)},
                {"1", {{2, 2, 2, 5}}, in(1)},
                {"each its own", {{2, 2, 2, 5}}, in(5)},
                {"several runs", {{3, 11, 17, 8}}, in(4)},
                {"many pictures", {{35, 2, 1, 8}}, in(2)},
                {"also used elsewhere", {{2, 3, 2, 8}}, [](Inputs i) { return add(i[0], channel_shuffle(i[0], 4)); }}};
    }
};

struct ChannelPermute {
    static constexpr const char* name = "channel_permute";
    bool operator==(const ChannelPermute&) const = default;
    std::vector<std::uint16_t> order;
    Tensor forward(Inputs in, Saved&) const {
        const kernels::Image image = image_of(in[0]);
        check_order(order, image.c);
        Tensor y = empty(in[0].shape, in[0].dtype);
        run(false, in[0], y, false);
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs, const Saved&) const {
        if (into[0]) run(true, dy, into[0].grad, into[0].accumulate());
    }
    void run(bool inverse, const Tensor& x, const Tensor& y, bool accumulate) const {
        const kernels::Image image = image_of(x);
        kernels::ChannelOrder at{image.c, {}};
        std::copy(order.begin(), order.end(), at.at);
        with_type(x.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::channel_permute<T>(kernel_stream(), image.pixels(), at, inverse, x.as<T>(), image.c, y.as<T>(),
                                        image.c, accumulate);
        });
    }
    static std::vector<Case> cases() {
        auto in = [](std::vector<std::uint16_t> order) {
            return [=](Inputs i) { return channel_permute(i[0], order); };
        };
        return {{"5", {{2, 3, 5, 5}}, in({3, 0, 4, 1, 2})},
                {"1", {{2, 2, 3, 1}}, in({0})},
                {"many pictures", {{35, 2, 1, 3}}, in({1, 2, 0})},
                {"several runs", {{3, 11, 17, 2}}, in({1, 0})},
                {"17", {{1, 2, 3, 17}}, in({16, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 14, 1})},
                {"also used elsewhere", {{2, 3, 2, 3}}, [](Inputs i) {
                     return add(i[0], channel_permute(i[0], std::vector<std::uint16_t>{2, 0, 1}));
                 }}};
    }
};

}  // namespace

void check_order(std::span<const std::uint16_t> order, std::int64_t channels) {
    NASCENT_CHECK(channels <= kernels::ChannelOrder::kMost && order.size() == static_cast<std::size_t>(channels),
                  runtime, "an order of {} channels for {}, expected as many and at most {}", order.size(), channels,
                  kernels::ChannelOrder::kMost);
    std::vector<bool> there(order.size());
    for (std::uint16_t c : order) {
        NASCENT_CHECK(c < order.size() && !there[c], runtime, "an order of {} channels names channel {} {}",
                      order.size(), c, c < order.size() ? "twice" : "");
        there[c] = true;
    }
}

Tensor channel_permute(const Tensor& x, std::span<const std::uint16_t> order) {
    return apply(ChannelPermute{{order.begin(), order.end()}}, {x});
}

Tensor channel_shuffle(const Tensor& x, int groups) { return apply(ChannelShuffle{groups}, {x}); }

}  // namespace nascent
