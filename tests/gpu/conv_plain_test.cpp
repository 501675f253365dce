// The GPU's plain convolutions have the CPU's bits: a thread sums as the CPU's loop does.
#include "kernels/conv_plain.h"

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::Image;
using kernels::same_axis;
using kernels::same_window;
using kernels::Window;

struct Shape {
    Image x;
    Window at;
    int c_out;
};

TEST_CASE_TEMPLATE("gpu conv_plain, depthwise_plain and their gradients", T, float, double) {
    unsigned seed = 20;
    for (const Shape& s : {Shape{{1, 1, 1, 2}, same_window(3), 1},
                           {{2, 5, 7, 3}, same_window(3), 5},
                           {{2, 5, 6, 3}, same_window(3, 2), 4},
                           {{1, 4, 5, 2}, same_window(1, 2), 3},
                           {{3, 4, 2, 4}, same_window(1), 7},
                           {{2, 3, 9, 3}, {same_axis(1), same_axis(7, 2)}, 2},
                           {{1, 9, 4, 3}, {same_axis(7, 2), same_axis(1)}, 5},
                           {{2, 6, 8, 5}, {{1, 2, 1, -1}, {1, 2, 1, -1}}, 3},
                           {{2, 7, 5, 3}, same_window(5, 2, 2), 2},
                           {{1, 6, 6, 4}, same_window(3, 1, 2), 4},
                           {{2, 7, 6, 2}, {{2, 3, 2, 1, 2}, {3, 1, 2, -1, 3}}, 3}})
        for (bool accumulate : {false, true}) {
            CAPTURE(s.x.h);
            CAPTURE(s.x.w);
            Numbers numbers(seed++);
            const int oh = s.at.h.windows(s.x.h), ow = s.at.w.windows(s.x.w), taps = s.at.h.taps * s.at.w.taps;
            const std::size_t weights = static_cast<std::size_t>(taps * s.x.c * s.c_out),
                              out = static_cast<std::size_t>(s.x.n * oh * ow * s.c_out),
                              own_weights = static_cast<std::size_t>(taps * s.x.c),
                              own_out = static_cast<std::size_t>(s.x.n * oh * ow * s.x.c);
            const auto x = numbers.uniform<T>(s.x.size()), w = numbers.uniform<T>(weights),
                       dy = numbers.uniform<T>(std::max(out, own_out)), dx0 = numbers.uniform<T>(s.x.size()),
                       dw0 = numbers.uniform<T>(weights), own0 = numbers.uniform<T>(own_weights);
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> all{Guarded<T>(out), dx0, dw0, dx0, dw0};
                kernels::conv_plain_forward<T>(where(on_gpu), s.x, s.at, s.c_out, x.data(), w.data(), all[0].data());
                auto backward = [&](T* dx, T* dw) {
                    kernels::conv_plain_backward<T>(where(on_gpu), s.x, s.at, s.c_out, x.data(), w.data(), dy.data(),
                                                    dx, accumulate, dw, accumulate);
                };
                backward(all[1].data(), all[2].data());
                backward(all[3].data(), nullptr);
                backward(nullptr, all[4].data());
                return all;
            });
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> all{Guarded<T>(own_out), dx0, own0, dx0, own0};
                kernels::depthwise_plain_forward<T>(where(on_gpu), s.x, s.at, x.data(), w.data(), all[0].data());
                auto backward = [&](T* dx, T* dw) {
                    kernels::depthwise_plain_backward<T>(where(on_gpu), s.x, s.at, x.data(), w.data(), dy.data(), dx,
                                                         accumulate, dw, accumulate);
                };
                backward(all[1].data(), all[2].data());
                backward(all[3].data(), nullptr);
                backward(nullptr, all[4].data());
                return all;
            });
        }
}

}  // namespace
}  // namespace nascent::test
