// The GPU's kernels for partial channels: a shuffle has the CPU's bits, weights of edges an exponential of the device.
#include "kernels/partial.h"

#include <algorithm>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("gpu channel_shuffle", T, float, double) {
    unsigned seed = 90;
    for (auto [pixels, c, groups] : {std::array{1, 1, 1}, {7, 16, 4}, {200, 8, 2}, {5, 12, 3}})
        for (bool accumulate : {false, true})
            for (bool inverse : {false, true}) {
                CAPTURE(c);
                Numbers numbers(seed++);
                const auto count = static_cast<std::size_t>(pixels);
                const auto x = numbers.uniform<T>(count * (c + 3));
                const Guarded<T> before = numbers.uniform<T>(count * (c + 1));
                same_bits_in_every_order([&](bool on_gpu) {
                    std::vector<Guarded<T>> out{before};
                    kernels::channel_shuffle<T>(where(on_gpu), count, c, groups, inverse, x.data() + 2, c + 3,
                                                out[0].data(), c + 1, accumulate);
                    return out;
                });
            }
}

TEST_CASE_TEMPLATE("gpu edge_weights and its gradients", T, float, double) {
    unsigned seed = 95;
    for (const kernels::EdgeRows s : {kernels::EdgeRows{4, 2, 8}, {1, 1, 3}, {300, 1, 2}})
        for (bool accumulate : {false, true}) {
            CAPTURE(s.nodes);
            Numbers numbers(seed++);
            const auto edges = static_cast<std::size_t>(s.edges()), size = edges * static_cast<std::size_t>(s.ops);
            const auto w = numbers.fractions<T>(size, 1000, 8), b = numbers.fractions<T>(edges, 1000, 8);
            auto forward = [&]<class U>(U, bool on_gpu) {
                Guarded<U> weights(size), betas(edges), share(edges), y(size + edges);
                std::copy(w.begin(), w.end(), weights.begin());
                std::copy(b.begin(), b.end(), betas.begin());
                kernels::edge_weights_forward<U>(where(on_gpu), s, weights.data(), betas.data(), share.data(),
                                                 y.data());
                return y;
            };
            std::vector<Bounded> want;
            for (double v : forward(double{}, false)) want.push_back({v, std::abs(v)});
            in_every_order([&] {
                const auto y = forward(T{}, true);
                // Two exponentials, each within 2 units in the last place, the sum, the quotient, rounded; the product.
                check_close(y, want, 1, "y",
                            2 * static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                std::numeric_limits<double>::epsilon() * (s.first + s.nodes + 6));
                return std::vector<Guarded<T>>{y};
            });
            const auto share = numbers.uniform<T>(edges), dy = numbers.uniform<T>(size + edges),
                       dweights = numbers.uniform<T>(size), dbetas = numbers.uniform<T>(edges);
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> out{dweights, dbetas, dweights, dbetas};
                auto backward = [&](T* to_weights, T* to_betas) {
                    kernels::edge_weights_backward<T>(where(on_gpu), s, w.data(), share.data(), dy.data(), to_weights,
                                                      accumulate, to_betas, accumulate);
                };
                backward(out[0].data(), out[1].data());
                backward(out[2].data(), nullptr);
                backward(nullptr, out[3].data());
                return out;
            });
        }
}

}  // namespace
}  // namespace nascent::test
