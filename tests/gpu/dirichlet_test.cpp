// The GPU's Dirichlet kernels run the CPU's lines, a thread per row or element: the same bits. The divergence is summed
// by a block.
#include "kernels/dirichlet.h"

#include <doctest/doctest.h>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("gpu Dirichlet draws, weights and gradients", T, float, double) {
    unsigned seed = 120;
    for (auto [rows, columns] : {std::pair{6, 5}, {1, 8}, {300, 2}, {2, 1}})
        for (bool accumulate : {false, true}) {
            CAPTURE(rows);
            Numbers numbers(seed++);
            const auto size = static_cast<std::size_t>(rows * columns);
            const auto alphas = numbers.fractions<T>(size, 3000, 1000), other = numbers.fractions<T>(size, 3000, 1000),
                       dy = numbers.uniform<T>(size), before = numbers.uniform<T>(size);
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<double>> drawn{Guarded<double>(3 * size)};
                kernels::dirichlet_draw<T>(where(on_gpu), {7, 1, 8, 3}, rows, columns, alphas.data(), drawn[0].data());
                return drawn;
            });
            Guarded<double> drawn(3 * size);
            kernels::dirichlet_draw<T>({}, {7, 1, 8, 3}, rows, columns, alphas.data(), drawn.data());
            Guarded<double> some(size);  // kept: the first of a row, and most others
            for (std::size_t i = 0; i < size; i++) some[i] = i % static_cast<std::size_t>(columns) == 0 || i % 3 != 2;
            for (const double* kept : {static_cast<const double*>(nullptr), static_cast<const double*>(some.data())})
                same_bits_in_every_order([&](bool on_gpu) {
                    std::vector<Guarded<T>> out{Guarded<T>(size), Guarded<T>(size), before, before};
                    for (int i : {0, 1}) {
                        const T* a = i ? other.data() : alphas.data();
                        kernels::dirichlet_forward<T>(where(on_gpu), rows, columns, a, drawn.data(), kept,
                                                      out[static_cast<std::size_t>(i)].data());
                        kernels::dirichlet_backward<T>(where(on_gpu), rows, columns, a, drawn.data(), kept, dy.data(),
                                                       out[static_cast<std::size_t>(2 + i)].data(), accumulate);
                    }
                    return out;
                });
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> out{before};
                kernels::dirichlet_kl_backward<T>(where(on_gpu), rows, columns, 0.5, alphas.data(), dy.data(),
                                                  out[0].data(), accumulate);
                return out;
            });
            Guarded<double> wide_alphas = wide(alphas);
            double divergence = 0;
            kernels::dirichlet_kl_forward<double>({}, rows, columns, 0.5, wide_alphas.data(), &divergence);
            in_every_order([&] {
                std::vector<Guarded<T>> out{Guarded<T>(1)};
                kernels::dirichlet_kl_forward<T>(kGpu, rows, columns, 0.5, alphas.data(), out[0].data());
                // Rows are not negative: the sum is off by a rounding of each, and one of T.
                CHECK(std::abs(static_cast<double>(out[0][0]) - divergence) <=
                      divergence * (std::numeric_limits<T>::epsilon() + rows * std::numeric_limits<double>::epsilon()) +
                          1e-13);
                return out;
            });
        }
}

}  // namespace
}  // namespace nascent::test
