#include "kernels/conv_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Depthwise {
    static constexpr const char* name = "depthwise";
    bool operator==(const Depthwise&) const = default;
    kernels::Window at;
    Tensor forward(Inputs in, Saved&) const {
        const Tensor &x = in[0], &w = in[1];
        const kernels::Image image = image_of(x);
        NASCENT_CHECK(w.shape == Shape({at.h.taps, at.w.taps, image.c}) && w.dtype == x.dtype, runtime,
                      "weights: expected {} ({}, {}, {}) for x {}, got {} {}", name_of(x.dtype), at.h.taps, at.w.taps,
                      image.c, x.shape.text(), name_of(w.dtype), w.shape.text());
        Tensor y = empty(window_output(image, at, image.c), x.dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::depthwise_plain_forward<T>(kernel_stream(), image, at, x.as<T>(), w.as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::depthwise_plain_backward<T>(kernel_stream(), image_of(in[0]), at, in[0].as<T>(), in[1].as<T>(),
                                                 dy.as<T>(), into[0].as<T>(), into[0].accumulate(), into[1].as<T>(),
                                                 into[1].accumulate());
        });
    }
    static std::vector<Case> cases() {
        std::vector<Case> all;
        auto with = [](int stride, int dilation) {
            return [=](Inputs in) { return depthwise(in[0], in[1], stride, dilation); };
        };
        for (int k : {3, 5, 7})
            for (int stride : {1, 2})
                for (int dilation : {1, 2})
                    all.push_back({fmt::format("k{} s{} d{}", k, stride, dilation),
                                   {{2, 7, 5, 3}, {k, k, 3}},
                                   with(stride, dilation)});
        all.push_back({"even, s2 d2", {{1, 8, 6, 5}, {5, 5, 5}}, with(2, 2)});
        all.push_back({"one pixel", {{1, 1, 1, 2}, {5, 5, 2}}, with(1, 2)});
        all.push_back({"several chunks", {{37, 3, 2, 5}, {3, 3, 5}}, with(1, 1)});
        all.push_back({"weights only", {{2, 4, 4, 3}, {3, 3, 3}}, with(2, 1), {false, true}});
        all.push_back({"input only", {{2, 4, 4, 3}, {3, 3, 3}}, with(2, 1), {true, false}});
        all.push_back({"both used twice", {{2, 4, 3, 3}, {3, 3, 3}}, [](Inputs in) {
                           return add(depthwise(depthwise(in[0], in[1], 1, 1), in[1], 1, 2), in[0]);
                       }});
        return all;
    }
};

}  // namespace

Tensor depthwise(const Tensor& x, const Tensor& w, int stride, int dilation) {
    NASCENT_CHECK(w.shape.rank() == 3 && w.shape[0] == w.shape[1] && w.shape[0] % 2 == 1, runtime,
                  "weights: expected (k, k, c) with k odd, got {}", w.shape.text());
    NASCENT_CHECK(stride >= 1 && dilation >= 1, runtime, "stride {} and dilation {}: expected 1 or more", stride,
                  dilation);
    return apply(Depthwise{kernels::same_window(static_cast<int>(w.shape[0]), stride, dilation)}, {x, w});
}

}  // namespace nascent
