#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

template <bool Six>
struct AnyRelu {
    bool operator==(const AnyRelu&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        Tensor y = empty(in[0].shape, in[0].dtype);
        with_stored(y.dtype, [&](auto zero) {
            using S = decltype(zero);
            if constexpr (Six)
                kernels::relu6_forward<S>(kernel_stream(), y.size(), in[0].as<S>(), y.as<S>());
            else
                kernels::relu_forward<S>(kernel_stream(), y.size(), in[0].as<S>(), y.as<S>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        with_stored(dy.dtype, [&](auto zero) {
            using S = decltype(zero);
            if constexpr (Six)
                kernels::relu6_backward<S>(kernel_stream(), dy.size(), in[0].as<S>(), dy.as<S>(), into[0].as<S>(),
                                           into[0].accumulate());
            else
                kernels::relu_backward<S>(kernel_stream(), dy.size(), in[0].as<S>(), dy.as<S>(), into[0].as<S>(),
                                          into[0].accumulate());
        });
    }
    static Tensor eightfold(const Tensor& x) {
        const Tensor twice = add(x, x), four = add(twice, twice);
        return add(four, four);
    }
    static std::vector<Case> cases() {
        // Samples lie in [-1, 1]: eight times as large, some are above 6.
        auto run = [](Inputs in) { return Six ? relu6(eightfold(in[0])) : relu(in[0]); };
        std::vector<Case> all{{"odd", {{1, 3, 5, 7}}, run},
                              {"batch", {{4, 4, 4, 16}}, run},
                              {"one", {{1, 1, 1, 1}}, run},
                              {"several chunks", {{37, 3, 2, 5}}, run},
                              {"used twice", {{2, 3, 3, 5}}, [run](Inputs in) { return add(run(in), run(in)); }}};
        for (Case& c : all) c.activations = 1;
        return all;
    }
};
struct Relu : AnyRelu<false> {
    static constexpr const char* name = "relu";
};
struct Relu6 : AnyRelu<true> {
    static constexpr const char* name = "relu6";
};

}  // namespace

Tensor relu(const Tensor& x) { return apply(Relu{}, {x}); }
Tensor relu6(const Tensor& x) { return apply(Relu6{}, {x}); }

}  // namespace nascent
