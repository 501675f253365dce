#include "ops/optim/clip.h"

#include <algorithm>

#include "engine/autograd/execution.h"
#include "kernels/clip.h"
#include "ops/kernel_stream.h"

namespace nascent {

SquaresScope::SquaresScope(Tape& tape, const ParameterStore& store, bool wanted) : tape_(tape), store_(store) {
    if (!wanted || current_segments()) return;
    // Elsewhere a gradient may take memory for which another kernel has left squares.
    NASCENT_CHECK(tape.gradients() != Tape::Gradients::reused, runtime, "squares of gradients that have no places");
    const kernels::Stream stream = kernel_stream(store.device());
    const std::size_t slots = kernels::squares_slots(stream, store.parameter_count(), store.parameters().size());
    if (slots == 0) return;
    auto* const to = static_cast<double*>(tape.arena().allocate(slots * sizeof(double)));
    with_type(store.dtype(), [&](auto zero) { kernels::hold_squares<decltype(zero)>(stream, {to, slots}); });
    on_ = true;
}

SquaresScope::~SquaresScope() {
    if (!on_) return;
    with_type(store_.dtype(), [&](auto zero) {
        std::vector<kernels::LeftSquares<decltype(zero)>> left;
        kernels::take_squares(kernel_stream(store_.device()), left);
        std::vector<GradientSquares> all;
        all.reserve(left.size());
        for (const auto& l : left) all.push_back({l.g, l.count, l.squares, l.sums});
        tape_.keep_squares(std::move(all));
    });
}

namespace {

/// Whether every parameter of a range that has elements in [begin, end) was written once: a gradient that was added to
/// later is not what squares were left of.
bool written_once(const Tape& tape, const ParameterStore& store, const ParameterRange& range, std::size_t begin,
                  std::size_t end) {
    for (int p = range.first; p < range.first + range.parameters; p++) {
        const Parameter& meta = store.parameters()[static_cast<std::size_t>(p)];
        if (meta.offset < end && begin < meta.offset + meta.shape.size() && tape.writes(p) != 1) return false;
    }
    return true;
}

/// What is left to read of wanted gradients, then the squares that stand for the others.
template <class T>
std::vector<kernels::GradientRange<T>> to_add(const Tape& tape, const ParameterStore& store,
                                              const std::function<bool(int range)>& wanted) {
    std::vector<GradientSquares> squares = tape.squares();
    auto address = [](const GradientSquares& s) { return static_cast<const T*>(s.grad); };
    std::sort(squares.begin(), squares.end(), [&](const auto& a, const auto& b) { return address(a) < address(b); });
    std::vector<kernels::GradientRange<T>> ranges;
    std::vector<std::pair<const double*, std::size_t>> sums;
    for (const WrittenRange& w : tape.written()) {
        if (wanted && !wanted(w.range)) continue;
        const ParameterRange& range = store.ranges()[static_cast<std::size_t>(w.range)];
        const T* const g = static_cast<const T*>(w.grad);
        std::size_t at = 0;  // up to where it is read or added
        for (auto s = std::lower_bound(squares.begin(), squares.end(), g,
                                       [&](const GradientSquares&a, const T*b) { return address(a) < b; });
             s != squares.end() && address(*s) < g + range.count; ++s) {
            const std::size_t begin = static_cast<std::size_t>(address(*s) - g), end = begin + s->count;
            if (end > range.count || !written_once(tape, store, range, begin, end)) continue;
            if (begin > at) ranges.push_back({g + at, begin - at});
            sums.emplace_back(s->squares, s->sums);
            at = end;
        }
        if (at < range.count) ranges.push_back({g + at, range.count - at});
    }
    std::sort(sums.begin(), sums.end());
    for (const auto& [from, count] : sums) {
        kernels::GradientRange<T>* const last = ranges.empty() ? nullptr : &ranges.back();
        if (last && last->squares && last->squares + last->count == from)
            last->count += count;
        else
            ranges.push_back({nullptr, count, from});
    }
    return ranges;
}

}  // namespace

const double* sum_of_squares(const Tape& tape, const ParameterStore& store,
                             const std::function<bool(int range)>& wanted, double* sum) {
    Arena& arena = tape.arena();
    if (!sum) sum = static_cast<double*>(arena.allocate(sizeof(double)));
    with_type(store.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const kernels::Stream stream = kernel_stream(store.device());
        const std::vector<kernels::GradientRange<T>> ranges = to_add<T>(tape, store, wanted);
        const std::span<const kernels::GradientRange<T>> all(ranges);
        kernels::sum_of_squares<T>(stream, all, sum, arena.allocate(kernels::sum_of_squares_workspace<T>(stream, all)));
    });
    return sum;
}

}  // namespace nascent
