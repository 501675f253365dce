#include "kernels/dropout.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Masked {
    static constexpr const char* name = "masked";
    bool operator==(const Masked&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        NASCENT_CHECK(in[0].shape == in[1].shape && in[0].dtype == in[1].dtype, runtime,
                      "x {} {} and mask {} {} differ", name_of(in[0].dtype), in[0].shape.text(), name_of(in[1].dtype),
                      in[1].shape.text());
        Tensor y = empty(in[0].shape, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::multiply<T>(kernel_stream(), y.size(), in[0].as<T>(), in[1].as<T>(), y.as<T>(), false);
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        NASCENT_CHECK(!into[1], runtime, "a mask has no gradient");
        if (!into[0]) return;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::multiply<T>(kernel_stream(), dy.size(), dy.as<T>(), in[1].as<T>(), into[0].as<T>(),
                                 into[0].accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return masked(in[0], in[1]); };
        return {{"odd", {{3, 7}, {3, 7}}, run, {true, false}},
                {"several chunks", {{37, 5}, {37, 5}}, run, {true, false}},
                {"one", {{1, 1}, {1, 1}}, run, {true, false}},
                {"used twice",
                 {{2, 5}, {2, 5}},
                 [](Inputs in) { return add(masked(in[0], in[1]), masked(in[0], in[1])); },
                 {true, false}}};
    }
};

}  // namespace

Tensor masked(const Tensor& x, const Tensor& mask) { return apply(Masked{}, {x, mask}); }

}  // namespace nascent
