#include "kernels/mix_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Softmax {
    static constexpr const char* name = "softmax";
    bool operator==(const Softmax&) const = default;
    Tensor forward(Inputs in, Saved& saved) const {
        const Shape& s = in[0].shape;
        NASCENT_CHECK(s.rank() == 2 && s[1] > 0, runtime, "expected (rows, columns), got {}", s.text());
        Tensor y = empty(s, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::softmax_forward<T>(kernel_stream(), static_cast<int>(s[0]), static_cast<int>(s[1]), in[0].as<T>(),
                                        y.as<T>());
        });
        saved = {y};
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::softmax_backward<T>(kernel_stream(), static_cast<int>(in[0].shape[0]),
                                         static_cast<int>(in[0].shape[1]), saved[0].as<T>(), dy.as<T>(),
                                         into[0].as<T>(), into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return softmax(in[0]); };
        return {{"alphas", {{14, 8}}, run},
                {"odd", {{3, 5}}, run},
                {"one row", {{1, 7}}, run},
                {"one column", {{4, 1}}, run},
                {"many rows", {{40, 3}}, run},
                {"twice", {{2, 5}}, [](Inputs in) { return add(softmax(softmax(in[0])), in[0]); }}};
    }
};

}  // namespace

Tensor softmax(const Tensor& x) { return apply(Softmax{}, {x}); }

}  // namespace nascent
