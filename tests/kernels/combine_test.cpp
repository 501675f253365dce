#include "kernels/combine.h"

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("combine adds the terms that have a factor", T, float, double) {
    ThreadPool pool(2);
    // One range is cut into blocks; one is its own first term.
    const std::size_t counts[] = {1, 7, 20'000};
    for (int mode = 0; mode < 8; mode++) {
        CAPTURE(mode);
        const kernels::CombineFactors f{{mode & 1 ? 1.0 : 0.0, mode & 2 ? -0.025 : 0.0, mode & 4 ? 3e-4 : 0.0}};
        Numbers numbers(static_cast<unsigned>(mode + 1));
        std::vector<Guarded<T>> y, a, b, c;
        for (std::size_t n : counts) {
            a.push_back(numbers.uniform<T>(n));
            b.push_back(numbers.uniform<T>(n));
            c.push_back(numbers.uniform<T>(n));
            y.push_back(n == 7 ? a.back() : Guarded<T>(n));
        }
        std::vector<kernels::CombineRange<T>> ranges;
        for (std::size_t r = 0; r < y.size(); r++) {
            const T* first = r == 1 ? y[r].data() : a[r].data();
            ranges.push_back(
                {y[r].data(),
                 {mode & 1 ? first : nullptr, mode & 2 ? b[r].data() : nullptr, mode & 4 ? c[r].data() : nullptr},
                 counts[r]});
        }
        kernels::combine<T>(stream_of(pool), f, ranges);
        for (std::size_t r = 0; r < y.size(); r++) {
            std::vector<Bounded> want(counts[r]);
            for (std::size_t i = 0; i < counts[r]; i++)
                for (auto [factor, x] : {std::pair{f.of[0], a[r][i]}, {f.of[1], b[r][i]}, {f.of[2], c[r][i]}})
                    want[i].add(static_cast<Real>(factor) * x);
            check_close(y[r], want, 4, "y");
        }
    }
}

}  // namespace
}  // namespace nascent::test
