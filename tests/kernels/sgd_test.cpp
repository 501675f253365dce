#include "kernels/sgd.h"

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("sgd steps as the formula says", T, float, double) {
    constexpr std::size_t kCounts[] = {1, 3, 16, 17, 8192, 20001, 0};
    constexpr int kRanges = static_cast<int>(std::size(kCounts));
    for (int mode = 0; mode < 4; mode++) {
        kernels::SgdStep step{0.1, mode & 1 ? 0.9 : 0.0, mode & 2 ? 5e-4 : 0.0, mode == 3, mode & 2 ? 0.25 : 1.0};
        Numbers numbers(mode + 1);
        std::vector<Guarded<T>> w, v, g;
        for (std::size_t count : kCounts) {
            w.push_back(numbers.uniform<T>(count));
            v.push_back(numbers.uniform<T>(count));
            g.push_back(numbers.uniform<T>(count));
        }
        auto gap_of = [](int r) { return r % 3 == 1; };
        auto gradient_of = [](int r) { return r % 4 != 2; };
        const double gap[4] = {0.75, -0.3, 0.1, 0.8};
        // Constants are rounded to T; so is the reference's.
        auto round = [](double x) { return static_cast<Real>(static_cast<T>(x)); };
        std::vector<std::vector<Bounded>> want_w(kRanges), want_v(kRanges);
        for (int r = 0; r < kRanges; r++)
            for (std::size_t i = 0; i < kCounts[r]; i++) {
                Bounded ww, vv;
                if (gap_of(r)) {
                    ww.add(round(gap[0]) * w[r][i]), ww.add(round(gap[1]) * v[r][i]);
                    vv.add(round(gap[2]) * w[r][i]), vv.add(round(gap[3]) * v[r][i]);
                } else {
                    ww.add(w[r][i]), vv.add(v[r][i]);
                }
                if (gradient_of(r)) {
                    Bounded d, next;
                    d.add(round(step.gradient_scale) * g[r][i]);
                    d.add_product(ww, round(step.decay));
                    next.add_product(vv, round(step.momentum));
                    next.add_product(d, 1);
                    vv = next;
                    if (step.nesterov) {
                        ww.add_product(d, -round(step.lr));
                        ww.add_product(vv, -round(step.lr) * round(step.momentum));
                    } else {
                        ww.add_product(vv, -round(step.lr));
                    }
                }
                want_w[r].push_back(ww), want_v[r].push_back(vv);
            }
        for_each_target_and_threads([&](const kernels::Stream& stream) {
            std::vector<Guarded<T>> new_w = w, new_v = v;
            std::vector<kernels::SgdRange<T>> ranges;
            for (int r = 0; r < kRanges; r++) {
                ranges.push_back(
                    {new_w[r].data(), new_v[r].data(), gradient_of(r) ? g[r].data() : nullptr, kCounts[r]});
                if (gap_of(r)) std::copy(gap, gap + 4, ranges.back().gap);
            }
            kernels::sgd<T>(stream, step, ranges);
            std::vector<Guarded<T>> outputs;
            for (int r = 0; r < kRanges; r++) {
                INFO("range ", r, " mode ", mode);
                // At most three roundings each in the gap, d, v, the Nesterov term and w.
                check_close(new_w[r], want_w[r], 12, "w");
                check_close(new_v[r], want_v[r], 9, "v");
                if (!gap_of(r) && !gradient_of(r)) CHECK(new_w[r].same_bits(w[r]));
                outputs.push_back(new_w[r]), outputs.push_back(new_v[r]);
            }
            return outputs;
        });
    }
}

TEST_CASE_TEMPLATE("sum_of_squares", T, float, double) {
    Numbers numbers(5);
    std::vector<Guarded<T>> g;
    for (std::size_t count : {1, 7, 64, 8191, 30001}) g.push_back(numbers.uniform<T>(count));
    Bounded want;
    std::vector<kernels::SgdRange<T>> ranges;
    for (Guarded<T>& range : g) {
        ranges.push_back({nullptr, nullptr, range.data(), range.size()});
        for (T x : range) want.add(static_cast<Real>(x) * x);
    }
    ranges.push_back({nullptr, nullptr, nullptr, 100});  // no gradient: adds nothing
    for_each_target_and_threads([&](const kernels::Stream& stream) {
        Guarded<double> sum(1);
        sum[0] = kernels::sum_of_squares<T>(stream, ranges);
        check_close(sum, {want}, 2 * 8192 + 10, "sum");
        return std::vector<Guarded<double>>{sum};
    });
    CHECK(kernels::sum_of_squares<T>(kernels::Stream{}, {}) == 0);
}

}  // namespace
}  // namespace nascent::test
