#include "kernels/clip.h"

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/clip.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// T to double, a vector at a time.
template <class T>
HWY_NOINLINE double squares(const T* g, std::size_t count) {
    const Tag<double> d;
    constexpr std::size_t L = kLanes<double>;
    Vector<double> sums[4] = {zero<double>(), zero<double>(), zero<double>(), zero<double>()};
    std::size_t i = 0;
    for (; i + 4 * L <= count; i += 4 * L)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; j++) {
            Vector<double> v;
            if constexpr (std::is_same_v<T, double>)
                v = load(g + i + j * L);
            else
                v = hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, Tag<double>>(), g + i + j * L));
            sums[j] = hn::MulAdd(v, v, sums[j]);
        }
    alignas(64) double lanes[L];
    hn::Store(hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3])), d, lanes);
    double sum = 0;
    for (double lane : lanes) sum += lane;
    for (; i < count; i++) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    return sum;
}

template <class T>
void all_squares(const Stream& stream, std::span<const GradientRange<T>> ranges, double* sum, void* workspace) {
    const std::vector<RangeBlock> blocks = blocks_of(ranges);
    double* partials = static_cast<double*>(workspace);
    parallel(stream, static_cast<int>(blocks.size()), [&](int chunk, int) HWY_ATTR {
        const RangeBlock& b = blocks[chunk];
        const GradientRange<T>& r = ranges[b.range];
        partials[chunk] = 0;
        if (r.squares)
            for (std::size_t i = b.begin; i < b.end; i++) partials[chunk] += r.squares[i];
        else if (r.g)
            partials[chunk] = squares(r.g + b.begin, b.end - b.begin);
    });
    double all = 0;
    for (std::size_t i = 0; i < blocks.size(); i++) all += partials[i];
    sum[0] = all;
}

void sum_of_squares_f32(const Stream& s, std::span<const GradientRange<float>> r, double* sum, void* workspace) {
    all_squares<float>(s, r, sum, workspace);
}
void sum_of_squares_f64(const Stream& s, std::span<const GradientRange<double>> r, double* sum, void* workspace) {
    all_squares<double>(s, r, sum, workspace);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(sum_of_squares_f32);
HWY_EXPORT(sum_of_squares_f64);

template <class T>
void sum_of_squares(const Stream& stream, std::span<const GradientRange<T>> ranges, double* sum, void* workspace) {
    NASCENT_DISPATCH(sum_of_squares, stream, ranges, sum, workspace)
}
template <class T>
std::size_t sum_of_squares_workspace(const Stream&, std::span<const GradientRange<T>> ranges) {
    return blocks_of(ranges).size() * sizeof(double);
}

template <class T>
void hold_squares(const Stream&, std::span<double>) {}
template <class T>
void take_squares(const Stream&, std::vector<LeftSquares<T>>& left) {
    left.clear();
}
std::size_t squares_slots(const Stream&, std::size_t, std::size_t) { return 0; }

#define NASCENT_CLIP(T)                                                                              \
    template void sum_of_squares(const Stream&, std::span<const GradientRange<T>>, double*, void*);  \
    template std::size_t sum_of_squares_workspace(const Stream&, std::span<const GradientRange<T>>); \
    template void hold_squares<T>(const Stream&, std::span<double>);                                 \
    template void take_squares(const Stream&, std::vector<LeftSquares<T>>&);
NASCENT_CLIP(float)
NASCENT_CLIP(double)
#undef NASCENT_CLIP

}  // namespace nascent::kernels::cpu
#endif
