#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct Stack {
    static constexpr const char* name = "stack";
    bool operator==(const Stack&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        NASCENT_CHECK(!in.empty() && in[0].shape.rank() > 0, runtime, "nothing to stack");
        std::int64_t n = 0;
        for (const Tensor& t : in) {
            NASCENT_CHECK(t.shape.with_first(1) == in[0].shape.with_first(1) && t.dtype == in[0].dtype, runtime,
                          "expected {} that differ in their first extent alone, got {} {} and {} {}",
                          name_of(in[0].dtype), name_of(in[0].dtype), in[0].shape.text(), name_of(t.dtype),
                          t.shape.text());
            n += t.shape[0];
        }
        const Tensor y = empty(in[0].shape.with_first(n), in[0].dtype);
        with_stored(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            T* to = y.as<T>();
            for (const Tensor& t : in) {
                kernels::copy_or_add<T>(kernel_stream(), t.size(), t.as<T>(), to, false);
                to += t.size();
            }
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        with_stored(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            const T* from = dy.as<T>();
            for (std::size_t i = 0; i < in.size(); i++) {
                if (into[i])
                    kernels::copy_or_add<T>(kernel_stream(), in[i].size(), from, into[i].as<T>(), into[i].accumulate());
                from += in[i].size();
            }
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return stack(in); };
        std::vector<Case> all{{"two", {{2, 3, 5, 3}, {3, 3, 5, 3}}, run},
                              {"one", {{1, 3, 2, 3}}, run},
                              {"several chunks", {{37, 2, 1, 3}, {35, 2, 1, 3}}, run},
                              {"rows", {{2, 7}, {1, 7}, {4, 7}}, run},
                              {"one wanted", {{2, 2, 2, 3}, {1, 2, 2, 3}, {2, 2, 2, 3}}, run, {false, true, false}},
                              {"one twice", {{2, 3, 2, 3}, {1, 3, 2, 3}}, [](Inputs in) {
                                   const Tensor parts[] = {in[0], in[1], in[0]};
                                   return stack(parts);
                               }}};
        for (Case& c : all) c.activations = static_cast<int>(c.inputs.size());
        return all;
    }
};

}  // namespace

Tensor stack(std::span<const Tensor> parts) { return nascent::apply(Stack{}, parts); }

}  // namespace nascent
