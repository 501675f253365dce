#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Add {
    static constexpr const char* name = "add";
    bool operator==(const Add&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        NASCENT_CHECK(in[0].shape == in[1].shape && in[0].dtype == in[1].dtype, runtime,
                      "expected equal shapes, got {} and {}", in[0].shape.text(), in[1].shape.text());
        Tensor y = empty(in[0].shape, in[0].dtype);
        with_stored(y.dtype, [&](auto zero) {
            using S = decltype(zero);
            kernels::add_forward<S>(kernel_stream(), y.size(), in[0].as<S>(), in[1].as<S>(), y.as<S>());
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs, const Saved&) const {
        for (Into& d : into) {
            if (!d) continue;
            with_stored(dy.dtype, [&](auto zero) {
                using S = decltype(zero);
                kernels::copy_or_add<S>(kernel_stream(), dy.size(), dy.as<S>(), d.as<S>(), d.accumulate());
            });
        }
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return add(in[0], in[1]); };
        std::vector<Case> all{{"odd", {{1, 3, 5, 7}, {1, 3, 5, 7}}, run},
                              {"batch", {{4, 8, 8, 16}, {4, 8, 8, 16}}, run},
                              {"several chunks", {{37, 3, 2, 5}, {37, 3, 2, 5}}, run},
                              {"with itself", {{2, 3, 3, 5}}, [](Inputs in) { return add(in[0], in[0]); }},
                              {"one wanted", {{2, 2, 2, 3}, {2, 2, 2, 3}}, run, {true, false}}};
        for (Case& c : all) c.activations = static_cast<int>(c.inputs.size());
        return all;
    }
};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return apply(Add{}, {a, b}); }

}  // namespace nascent
