#include "kernels/mix_plain.h"
#include "ops/reference.h"

namespace nascent {
namespace {

/// The place of every input's channels among those of the output.
template <class F>
void for_each_part(Inputs in, F&& f) {
    int first = 0;
    for (std::size_t i = 0; i < in.size(); i++) {
        const int channels = image_of(in[i]).c;
        f(i, first, channels);
        first += channels;
    }
}

struct Concat {
    static constexpr const char* name = "concat";
    bool operator==(const Concat&) const = default;
    Tensor forward(Inputs in, Saved&) const {
        NASCENT_CHECK(!in.empty(), runtime, "nothing to concatenate");
        kernels::Image all = image_of(in[0]);
        for (const Tensor& t : in.subspan(1)) {
            const kernels::Image part = image_of(t);
            NASCENT_CHECK(part.n == all.n && part.h == all.h && part.w == all.w && t.dtype == in[0].dtype, runtime,
                          "expected {} that differ in their channels alone, got {} {} and {} {}", name_of(in[0].dtype),
                          name_of(in[0].dtype), in[0].shape.text(), name_of(t.dtype), t.shape.text());
            all.c += part.c;
        }
        Tensor y = empty({all.n, all.h, all.w, all.c}, in[0].dtype);
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            for_each_part(in, [&](std::size_t i, int first, int channels) {
                kernels::copy_channels<T>(kernel_stream(), all.pixels(), channels, in[i].as<T>(), channels,
                                          y.as<T>() + first, all.c, false);
            });
        });
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        const kernels::Image all = image_of(dy);
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            for_each_part(in, [&](std::size_t i, int first, int channels) {
                if (into[i])
                    kernels::copy_channels<T>(kernel_stream(), all.pixels(), channels, dy.as<T>() + first, all.c,
                                              into[i].as<T>(), channels, into[i].accumulate());
            });
        });
    }
    static std::vector<Case> cases() {
        auto run = [](Inputs in) { return concat(in); };
        return {{"two", {{2, 3, 5, 3}, {2, 3, 5, 4}}, run},
                {"four", {{2, 3, 3, 5}, {2, 3, 3, 1}, {2, 3, 3, 8}, {2, 3, 3, 2}}, run},
                {"one", {{1, 3, 2, 3}}, run},
                {"several chunks", {{37, 2, 1, 3}, {37, 2, 1, 5}}, run},
                {"one wanted", {{2, 2, 2, 3}, {2, 2, 2, 2}, {2, 2, 2, 5}}, run, {false, true, false}},
                {"one twice", {{2, 3, 2, 3}, {2, 3, 2, 2}}, [](Inputs in) {
                     const Tensor parts[] = {in[0], in[1], in[0]};
                     return concat(parts);
                 }}};
    }
};

}  // namespace

Tensor concat(std::span<const Tensor> parts) { return nascent::apply(Concat{}, parts); }

}  // namespace nascent
