#include "kernels/head.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Linear {
    static constexpr const char* name = "linear";
    bool operator==(const Linear&) const = default;
    struct Sizes {
        int n, in, out;
    };
    static Sizes sizes(Inputs in) {
        NASCENT_CHECK(in[0].shape.rank() == 2 && in[1].shape.rank() == 2 && in[0].shape[1] == in[1].shape[1], runtime,
                      "x {} and weights {} do not fit: expected (n, in) and (out, in)", in[0].shape.text(),
                      in[1].shape.text());
        if (in[2].defined()) check_vector(in[2], in[1].shape[0], in[0].dtype, "bias");
        return {static_cast<int>(in[0].shape[0]), static_cast<int>(in[0].shape[1]), static_cast<int>(in[1].shape[0])};
    }
    Tensor forward(Inputs in, Saved&) const {
        const Sizes s = sizes(in);
        Tensor y = empty({s.n, s.out}, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::linear_forward<T>(kernel_stream(), s.n, s.in, s.out, in[0].as<T>(), in[1].as<T>(),
                                       in[2].defined() ? in[2].as<T>() : nullptr, y.as<T>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        const Sizes s = sizes(in);
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::linear_backward<T>(kernel_stream(), s.n, s.in, s.out, in[0].as<T>(), in[1].as<T>(), dy.as<T>(),
                                        into[0].as<T>(), into[0].accumulate(), into[1].as<T>(), into[1].accumulate(),
                                        into[2].as<T>(), into[2].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return linear(in[0], in[1], in[2]); };
        return {{"odd", {{3, 7}, {5, 7}, {5}}, run},
                {"one", {{1, 64}, {10, 64}, {10}}, run},
                {"batch", {{65, 19}, {33, 19}, {33}}, run},
                {"weights only", {{4, 3}, {2, 3}, {2}}, run, {false, true, true}},
                {"input only", {{4, 3}, {2, 3}, {2}}, run, {true, false, false}},
                {"weights used twice", {{4, 3}, {3, 3}, {3}}, [](Inputs in) {
                     return linear(linear(in[0], in[1], in[2]), in[1], in[2]);
                 }}};
    }
};

}  // namespace

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) { return apply(Linear{}, {x, w, bias}); }

}  // namespace nascent
