#include "kernels/sgd.h"

#include <limits>

#include "tests/kernels/optimizers.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("sgd steps as the formula says", T, float, double) {
    constexpr std::size_t kCounts[] = {1, 3, 16, 17, 8192, 20001, 0};
    constexpr int kRanges = static_cast<int>(std::size(kCounts));
    for (int mode = 0; mode < 7; mode++) {
        // Clipped in modes 2 and 6, not in mode 3 though a norm is given: it is small. By value from mode 5 on.
        const double squares = mode == 2 || mode == 6 ? 16 : 0.01;
        kernels::SgdStep step{0.1, mode & 1 ? 0.9 : 0.0, mode & 2 ? 5e-4 : 0.0, mode == 3};
        if (mode & 2) step.clip = {1, &squares};
        if (mode >= 5) step.clip_value = 0.3;  // of gradients in [-1, 1]
        if (mode == 5) step.decay = 1e-2;
        Numbers numbers(mode + 1);
        std::vector<Guarded<T>> w, v, g;
        for (std::size_t count : kCounts) {
            w.push_back(numbers.uniform<T>(count));
            v.push_back(numbers.uniform<T>(count));
            g.push_back(numbers.uniform<T>(count));
        }
        auto gap_of = [](int r) { return r % 3 == 1; };
        auto gradient_of = [](int r) { return r != 2 && r != 4; };  // without a gap and with one
        auto range = [&](std::vector<Guarded<T>>& to_w, std::vector<Guarded<T>>& to_v, int r) {
            kernels::SgdRange<T> one{to_w[r].data(), to_v[r].data(), gradient_of(r) ? g[r].data() : nullptr,
                                     kCounts[r]};
            one.decays = r % 2 == 0 || mode < 5;
            if (gap_of(r)) one.gap[0] = 0.75, one.gap[1] = -0.3, one.gap[2] = 0.1, one.gap[3] = 0.8;
            return one;
        };
        std::vector<std::array<std::vector<Bounded>, 2>> want;
        for (int r = 0; r < kRanges; r++) want.push_back(sgd_expected(step, range(w, v, r)));
        for_each_target_and_threads([&](const kernels::Stream& stream) {
            std::vector<Guarded<T>> new_w = w, new_v = v;
            std::vector<kernels::SgdRange<T>> ranges;
            for (int r = 0; r < kRanges; r++) ranges.push_back(range(new_w, new_v, r));
            kernels::sgd<T>(stream, step, ranges);
            std::vector<Guarded<T>> outputs;
            for (int r = 0; r < kRanges; r++) {
                INFO("range ", r, " mode ", mode);
                check_close(new_w[r], want[r][0], kSgdWeightRoundings, "w");
                check_close(new_v[r], want[r][1], kSgdMomentumRoundings, "v");
                if (!gap_of(r) && !gradient_of(r)) CHECK(new_w[r].same_bits(w[r]));
                outputs.push_back(new_w[r]), outputs.push_back(new_v[r]);
            }
            return outputs;
        });
    }
}

TEST_CASE_TEMPLATE("a norm that is not a number reaches every weight, as in PyTorch", T, float, double) {
    Guarded<T> w(2), v(2), g(2);
    for (Guarded<T>* x : {&w, &v, &g}) (*x)[0] = (*x)[1] = 1;
    const double squares = std::numeric_limits<double>::quiet_NaN();
    const kernels::SgdRange<T> range{w.data(), v.data(), g.data(), 2};
    kernels::sgd<T>({}, {0.1, 0.9, 0, true, {1, &squares}}, {&range, 1});
    CHECK((std::isnan(w[0]) && std::isnan(w[1])));
}

TEST_CASE_TEMPLATE("clamping leaves a gradient that is not a number, as in PyTorch", T, float, double) {
    for_each_target_and_threads([&](const kernels::Stream& stream) {
        Guarded<T> w(40), v(40), g(40);
        for (std::size_t i = 0; i < 40; i++)
            w[i] = v[i] = 0, g[i] = i % 3 ? std::numeric_limits<T>::infinity() : T(0.25);
        g[5] = std::numeric_limits<T>::quiet_NaN();
        g[7] = -std::numeric_limits<T>::infinity();
        const kernels::SgdRange<T> range{w.data(), v.data(), g.data(), 40};
        kernels::SgdStep step{1, 0, 0, false};
        step.clip_value = 0.5;
        kernels::sgd<T>(stream, step, {&range, 1});
        for (std::size_t i = 0; i < 40; i++) {
            CAPTURE(i);
            if (i == 5)
                CHECK(std::isnan(w[i]));
            else
                CHECK(w[i] == (i == 7 ? T(0.5) : i % 3 ? T(-0.5) : T(-0.25)));
        }
        return std::vector<Guarded<T>>{};
    });
}

TEST_CASE_TEMPLATE("sum_of_squares", T, float, double) {
    Numbers numbers(5);
    std::vector<Guarded<T>> g;
    for (std::size_t count : {1, 7, 64, 8191, 30001}) g.push_back(numbers.uniform<T>(count));
    Bounded want;
    std::vector<kernels::GradientRange<T>> list;
    for (Guarded<T>& range : g) {
        list.push_back({range.data(), range.size()});
        for (T x : range) want.add(static_cast<Real>(x) * x);
    }
    list.push_back({nullptr, 100});  // no gradient: adds nothing
    const std::span<const kernels::GradientRange<T>> ranges(list);
    for_each_target_and_threads([&](const kernels::Stream& stream) {
        Guarded<double> sum(1);
        Workspace workspace(kernels::sum_of_squares_workspace<T>(stream, ranges));
        kernels::sum_of_squares<T>(stream, ranges, sum.data(), workspace.get());
        CHECK(workspace.intact());
        check_close(sum, {want}, 2 * 8192 + 10, "sum");
        return std::vector<Guarded<double>>{sum};
    });
    // Squares in the place of gradients.
    const Guarded<double> known = numbers.uniform<double>(9001);
    for (double s : known) want.add(static_cast<Real>(s));
    list.push_back({nullptr, known.size(), known.data()});
    const std::span<const kernels::GradientRange<T>> more(list);
    for_each_target_and_threads([&](const kernels::Stream& stream) {
        Guarded<double> sum(1);
        Workspace workspace(kernels::sum_of_squares_workspace<T>(stream, more));
        kernels::sum_of_squares<T>(stream, more, sum.data(), workspace.get());
        CHECK(workspace.intact());
        check_close(sum, {want}, 2 * 8192 + 12, "sum");
        return std::vector<Guarded<double>>{sum};
    });
    Guarded<double> none(1);
    kernels::sum_of_squares<T>(kernels::Stream{}, {}, none.data(), nullptr);
    CHECK(none[0] == 0);
}

}  // namespace
}  // namespace nascent::test
