#include "ops/optim/clip.h"

#include "kernels/clip.h"
#include "ops/kernel_stream.h"

namespace nascent {

const double* sum_of_squares(const Tape& tape, const ParameterStore& store,
                             const std::function<bool(int range)>& wanted, double* sum) {
    Arena& arena = tape.arena();
    if (!sum) sum = static_cast<double*>(arena.allocate(sizeof(double)));
    with_type(store.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const kernels::Stream stream = kernel_stream(store.device());
        std::vector<kernels::GradientRange<T>> ranges;
        for (const WrittenRange& w : tape.written())
            if (!wanted || wanted(w.range))
                ranges.push_back(
                    {static_cast<const T*>(w.grad), store.ranges()[static_cast<std::size_t>(w.range)].count});
        const std::span<const kernels::GradientRange<T>> all(ranges);
        kernels::sum_of_squares<T>(stream, all, sum, arena.allocate(kernels::sum_of_squares_workspace<T>(stream, all)));
    });
    return sum;
}

}  // namespace nascent
