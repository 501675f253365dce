// Numbers that kernels read where they run, so that captured work can be done again with others, give the bits of the
// same numbers as arguments: on the GPU in three orders of the threads, and on the CPU.
#include "kernels/adam.h"
#include "kernels/combine.h"
#include "kernels/dirichlet.h"
#include "kernels/sgd.h"
#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

/// f(stream, read): what a kernel gives with arguments, or with numbers that are read.
template <class T, class F>
void read_as_passed(F&& f) {
    for (bool on_gpu : {true, false}) {
        CAPTURE(on_gpu);
        const std::vector<Guarded<T>> passed = f(where(on_gpu), false);
        in_every_order([&] {
            const std::vector<Guarded<T>> read = f(where(on_gpu), true);
            for (std::size_t i = 0; i < passed.size(); i++) CHECK(read[i].same_bits(passed[i]));
            return read;
        });
    }
}

template <class T>
std::vector<Guarded<T>> several(unsigned seed) {
    Numbers numbers(seed);
    std::vector<Guarded<T>> all;
    for (int i = 0; i < 4; i++) all.push_back(numbers.uniform<T>(1037));
    for (T& v : all[2]) v = std::fabs(v);  // a second moment
    return all;
}

}  // namespace

TEST_CASE_TEMPLATE("gpu: a learning rate in memory", T, float, double) {
    const double lr = 0.0123, other = 9;
    read_as_passed<T>([&](const kernels::Stream& stream, bool read) {
        std::vector<Guarded<T>> a = several<T>(1);
        const kernels::SgdRange<T> range{a[0].data(), a[1].data(), a[3].data(), a[0].size()};
        kernels::SgdStep step{read ? other : lr, 0.9, 3e-4, true};
        if (read) step.lr_at = &lr;
        kernels::sgd<T>(stream, step, std::span(&range, 1));
        return a;
    });
}

TEST_CASE_TEMPLATE("gpu: Adam's corrections in memory", T, float, double) {
    const kernels::AdamStep step{3e-4, 0.5, 0.999, 1e-8, 1e-3};
    const kernels::AdamCorrection correction(step, 7);
    const double both[2] = {correction.rate, correction.root};
    read_as_passed<T>([&](const kernels::Stream& stream, bool read) {
        std::vector<Guarded<T>> a = several<T>(2);
        kernels::AdamRange<T> range{a[0].data(), a[1].data(), a[2].data(), a[3].data(), a[0].size(), read ? 1 : 7};
        if (read) range.correction = both;
        kernels::adam<T>(stream, step, std::span(&range, 1));
        return a;
    });
}

TEST_CASE_TEMPLATE("gpu: factors in memory, computed there", T, float, double) {
    const double squares = 1234.5, lr = 0.025, e = 0.01 / std::sqrt(squares);
    for (bool twin : {false, true})
        for (int which = 0; which < 3; which++) {
            CAPTURE(which);
            kernels::CombineFactors passed{{1, e, 0}};
            if (which == 1) passed = {{1, -e, 0}};
            if (which == 2) passed = {{1, -lr / (2 * e), twin ? 0 : lr / (2 * e)}};
            read_as_passed<T>([&](const kernels::Stream& stream, bool read) {
                std::vector<Guarded<T>> a = several<T>(3);
                double factors[9];
                kernels::quotient_factors(stream, &squares, &lr, twin, factors);
                const kernels::CombineFactors f = read ? kernels::CombineFactors{{}, factors + 3 * which} : passed;
                const kernels::CombineRange<T> range{
                    a[3].data(), {a[0].data(), a[1].data(), which < 2 ? nullptr : a[2].data()}, a[0].size()};
                kernels::combine<T>(stream, f, std::span(&range, 1));
                return a;
            });
        }
}

TEST_CASE_TEMPLATE("gpu: the step of a draw in memory", T, float, double) {
    const std::uint64_t step = (std::uint64_t{3} << 32) + 5;
    read_as_passed<double>([&](const kernels::Stream& stream, bool read) {
        const Guarded<T> alphas = Numbers(4).uniform<T>(6 * 5);
        std::vector<Guarded<double>> drawn(1, Guarded<double>(3 * alphas.size()));
        kernels::DrawKey key{11, read ? 0 : step, 3, 64};
        if (read) key.step_at = &step;
        kernels::dirichlet_draw<T>(stream, key, 6, 5, alphas.data(), drawn[0].data());
        return drawn;
    });
}

}  // namespace nascent::test
