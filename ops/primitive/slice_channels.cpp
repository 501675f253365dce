#include "kernels/mix_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct SliceChannels {
    static constexpr const char* name = "slice_channels";
    bool operator==(const SliceChannels&) const = default;
    int first, count;
    Tensor forward(Inputs in, Saved&) const {
        const kernels::Image image = image_of(in[0]);
        NASCENT_CHECK(first >= 0 && count >= 1 && first <= image.c - count, runtime,
                      "channels {} to {} of x {}: there are {}", first, first + count - 1, in[0].shape.text(), image.c);
        Tensor y = empty({image.n, image.h, image.w, count}, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::copy_channels<T>(kernel_stream(), image.pixels(), count, in[0].as<T>() + first, image.c, y.as<T>(),
                                      count, false);
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        const kernels::Image image = image_of(in[0]);
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::slice_channels_backward<T>(kernel_stream(), image.pixels(), image.c, first, count, dy.as<T>(),
                                                into[0].as<T>(), into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto of = [](int first, int count) { return [=](Inputs in) { return slice_channels(in[0], first, count); }; };
        return {{"first", {{2, 3, 5, 7}}, of(0, 3)},
                {"last", {{1, 3, 3, 5}}, of(4, 1)},
                {"all", {{2, 2, 3, 4}}, of(0, 4)},
                {"several chunks", {{37, 2, 1, 8}}, of(2, 4)},
                {"halves exchanged", {{2, 3, 2, 6}}, [](Inputs in) {
                     const Tensor parts[] = {slice_channels(in[0], 3, 3), slice_channels(in[0], 0, 3)};
                     return concat(parts);
                 }}};
    }
};

}  // namespace

Tensor slice_channels(const Tensor& x, int first, int count) { return apply(SliceChannels{first, count}, {x}); }

}  // namespace nascent
