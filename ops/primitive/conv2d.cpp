#include "kernels/conv_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

using kernels::same_axis;
using kernels::Window;

struct Conv2d {
    static constexpr const char* name = "conv2d";
    bool operator==(const Conv2d&) const = default;
    Window at;
    Tensor forward(Inputs in, Saved&) const {
        const Tensor &x = in[0], &w = in[1];
        const kernels::Image image = image_of(x);
        NASCENT_CHECK(w.shape.rank() == 4 && w.shape[0] == at.h.taps && w.shape[1] == at.w.taps &&
                          w.shape[2] == image.c && w.dtype == x.dtype,
                      runtime, "weights: expected {} ({}, {}, {}, c_out) for x {}, got {} {}", name_of(x.dtype),
                      at.h.taps, at.w.taps, image.c, x.shape.text(), name_of(w.dtype), w.shape.text());
        Tensor y = empty(window_output(image, at, w.shape[3]), x.dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::conv_plain_forward<T>(kernel_stream(), image, at, static_cast<int>(w.shape[3]), x.as<T>(),
                                           w.as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::conv_plain_backward<T>(kernel_stream(), image_of(in[0]), at, static_cast<int>(dy.shape[3]),
                                            in[0].as<T>(), in[1].as<T>(), dy.as<T>(), into[0].as<T>(),
                                            into[0].accumulate(), into[1].as<T>(), into[1].accumulate());
        });
    }
    static std::vector<Case> cases() {
        std::vector<Case> all;
        for (int k : {1, 3})
            for (int stride : {1, 2})
                all.push_back({"k" + std::to_string(k) + " s" + std::to_string(stride),
                               {{2, 5, 7, 3}, {k, k, 3, 5}},
                               [stride](Inputs in) { return conv2d(in[0], in[1], stride); }});
        auto run = [](Inputs in) { return conv2d(in[0], in[1], 1); };
        all.push_back({"one pixel", {{1, 1, 1, 2}, {3, 3, 2, 1}}, run});
        all.push_back({"several chunks", {{37, 3, 2, 1}, {3, 3, 1, 2}}, run});
        all.push_back({"weights only", {{2, 4, 4, 3}, {3, 3, 3, 4}}, run, {false, true}});
        all.push_back({"input only", {{2, 4, 4, 3}, {3, 3, 3, 4}}, run, {true, false}});
        all.push_back({"weights used twice", {{2, 4, 3, 3}, {3, 3, 3, 3}}, [](Inputs in) {
                           return conv2d(conv2d(in[0], in[1], 1), in[1], 1);
                       }});
        auto with = [](const Window& at) { return [at](Inputs in) { return conv2d(in[0], in[1], at); }; };
        for (int stride : {1, 2}) {
            const std::string s = " s" + std::to_string(stride);
            all.push_back({"1x7" + s, {{2, 5, 9, 3}, {1, 7, 3, 2}}, with({same_axis(1), same_axis(7, stride)})});
            all.push_back({"7x1" + s, {{1, 9, 5, 3}, {7, 1, 3, 2}}, with({same_axis(7, stride), same_axis(1)})});
        }
        // The second path of FactorizedReduce: from the second row and column on.
        all.push_back({"1x1 s2 from pixel 1", {{2, 6, 4, 3}, {1, 1, 3, 2}}, with({{1, 2, 1, -1}, {1, 2, 1, -1}})});
        all.push_back({"2x2 without padding", {{1, 3, 2, 5}, {2, 2, 5, 3}}, with({{2}, {2}})});
        all.push_back({"uneven", {{2, 7, 6, 2}, {2, 3, 2, 3}}, with({{2, 3, 2, 1, 2}, {3, 1, 2, -1, 3}})});
        return all;
    }
};

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Window& at) { return apply(Conv2d{at}, {x, w}); }

Tensor conv2d(const Tensor& x, const Tensor& w, int stride) {
    return conv2d(x, w, kernels::same_window(conv_shape(x, w, stride).k, stride));
}

}  // namespace nascent
