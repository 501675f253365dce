#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Conv2d {
    static constexpr const char* name = "conv2d";
    bool operator==(const Conv2d&) const = default;
    int stride;
    Tensor forward(Inputs in, Saved&) const {
        const kernels::ConvShape s = conv_shape(in[0], in[1], stride);
        Tensor y = empty(conv_output(s), in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::conv_plain_forward<T>(kernel_stream(), s, in[0].as<T>(), in[1].as<T>(), y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::conv_plain_backward<T>(kernel_stream(), conv_shape(in[0], in[1], stride), in[0].as<T>(),
                                            in[1].as<T>(), dy.as<T>(), into[0].as<T>(), into[0].accumulate(),
                                            into[1].as<T>(), into[1].accumulate());
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
        return all;
    }
};

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, int stride) { return apply(Conv2d{stride}, {x, w}); }

}  // namespace nascent
