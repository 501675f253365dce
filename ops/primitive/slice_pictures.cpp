#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct SlicePictures {
    static constexpr const char* name = "slice_pictures";
    bool operator==(const SlicePictures&) const = default;
    int first, count;
    Tensor forward(Inputs in, Saved&) const {
        const Tensor& x = in[0];
        NASCENT_CHECK(x.shape.rank() > 0 && first >= 0 && count >= 1 && first <= x.shape[0] - count, runtime,
                      "pictures {} to {} of x {}", first, first + count - 1, x.shape.text());
        const Tensor y = empty(x.shape.with_first(count), x.dtype);
        with_stored(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            kernels::copy_or_add<T>(kernel_stream(), y.size(), x.as<T>() + before(x), y.as<T>(), false);
        });
        return y;
    }
    /// The first to write the gradient also writes the zeros of the other pictures.
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved&) const {
        if (!into[0]) return;
        const Tensor& dx = into[0].grad;
        with_stored(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            T *const begin = dx.as<T>(), *const mine = begin + before(in[0]), *const behind = mine + dy.size();
            if (!into[0].accumulate()) {
                if (mine > begin) dx.device->fill(begin, 0, static_cast<std::size_t>(mine - begin) * sizeof(T));
                const std::size_t after = in[0].size() - before(in[0]) - dy.size();
                if (after > 0) dx.device->fill(behind, 0, after * sizeof(T));
            }
            kernels::copy_or_add<T>(kernel_stream(), dy.size(), dy.as<T>(), mine, into[0].accumulate());
        });
    }
    /// Elements before the first picture.
    std::size_t before(const Tensor& x) const {
        return static_cast<std::size_t>(first) * (x.size() / static_cast<std::size_t>(x.shape[0]));
    }
    static std::vector<Case> cases() {
        auto of = [](int first, int count) { return [=](Inputs in) { return slice_pictures(in[0], first, count); }; };
        std::vector<Case> all{{"first", {{5, 2, 3, 3}}, of(0, 2)},
                              {"middle", {{5, 2, 3, 3}}, of(1, 3)},
                              {"last", {{3, 2, 2, 5}}, of(2, 1)},
                              {"all", {{1, 2, 3, 4}}, of(0, 1)},
                              {"several chunks", {{37, 2, 1, 5}}, of(3, 33)},
                              {"rows", {{6, 7}}, of(2, 2)},
                              {"halves exchanged", {{4, 3, 2, 3}}, [](Inputs in) {
                                   const Tensor parts[] = {slice_pictures(in[0], 2, 2), slice_pictures(in[0], 0, 2)};
                                   return stack(parts);
                               }}};
        for (Case& c : all) c.activations = 1;
        return all;
    }
};

}  // namespace

Tensor slice_pictures(const Tensor& x, int first, int count) { return apply(SlicePictures{first, count}, {x}); }

}  // namespace nascent
