// The GPU's plain pools have the CPU's bits: a thread sums as the CPU's loop does.
#include "kernels/pool_plain.h"

#include <algorithm>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::PoolShape;

TEST_CASE_TEMPLATE("gpu pools", T, float, double) {
    unsigned seed = 30;
    for (const PoolShape& s : {PoolShape{{1, 1, 1, 1}, 3, 1, 1},
                               {{2, 5, 7, 3}, 3, 1, 1},
                               {{1, 8, 6, 17}, 2, 2, 0},
                               {{3, 5, 4, 2}, 3, 2, 1},
                               {{1, 9, 9, 4}, 5, 3, 2},
                               {{2, 8, 7, 3}, 5, 3, 0}})
        for (bool accumulate : {false, true}) {
            CAPTURE(s.k);
            Numbers numbers(seed++);
            const std::size_t out = static_cast<std::size_t>(s.x.n * s.out_h() * s.out_w() * s.x.c),
                              pooled = static_cast<std::size_t>(s.x.n * s.x.c);
            auto x = numbers.uniform<T>(s.x.size());
            if (accumulate) x = numbers.fractions<T>(s.x.size(), 1, 1);  // many equal
            if (accumulate && x.size() > 40) x[20] = x[21] = x[23] = std::numeric_limits<T>::quiet_NaN();
            const auto dy = numbers.uniform<T>(out), dpooled = numbers.uniform<T>(pooled),
                       before = numbers.uniform<T>(s.x.size());
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> all{Guarded<T>(out), before, Guarded<T>(pooled), before,
                                            Guarded<T>(out), before, Guarded<T>(out)};
                Guarded<std::uint8_t> tap(out);
                kernels::avg_pool_plain_forward<T>(where(on_gpu), s, x.data(), all[0].data());
                kernels::avg_pool_plain_backward<T>(where(on_gpu), s, dy.data(), all[1].data(), accumulate);
                kernels::global_avg_pool_forward<T>(where(on_gpu), s.x, x.data(), all[2].data());
                kernels::global_avg_pool_backward<T>(where(on_gpu), s.x, dpooled.data(), all[3].data(), accumulate);
                kernels::max_pool_plain_forward<T>(where(on_gpu), s, x.data(), all[4].data(), tap.data());
                kernels::max_pool_plain_backward<T>(where(on_gpu), s, tap.data(), dy.data(), all[5].data(), accumulate);
                std::copy(tap.begin(), tap.end(), all[6].begin());
                CHECK(tap.intact());
                return all;
            });
        }
}

}  // namespace
}  // namespace nascent::test
