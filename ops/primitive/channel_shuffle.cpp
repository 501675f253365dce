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

}  // namespace

Tensor channel_shuffle(const Tensor& x, int groups) { return apply(ChannelShuffle{groups}, {x}); }

}  // namespace nascent
