// A pixel's channels, of all pictures that lie side by side, are vectors: each of the results' is a sum of the sources'
// vectors with their lanes in another order.
#include "kernels/channel_sums.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/channel_sums.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

using Size = std::size_t;
/// Pixels of a run, those in registers at once, and those that are asked for before they are read.
inline constexpr int kRun = 64, kTogether = 8, kAhead = 16;

/// The vectors of some states' pixels, of all pictures side by side.
template <class T>
struct Lanes {
    struct OfVector {
        T* first;
        Size pixel, group;  // elements from pixel to pixel, from some pictures to the next ones
        int count;          // lanes
    };
    struct Place {
        int vector, lane;
    };
    std::vector<OfVector> vectors;
    std::vector<Place> places;  // by channel, by picture

    Lanes(const ChannelSumsShape& s, std::span<const SummedState<T>> states) {
        constexpr int L = kLanes<T>;
        for (const SummedState<T>& state : states) {
            const int begin = static_cast<int>(vectors.size()), elements = state.folded ? state.c * s.fold : state.c;
            const int of_picture = (elements + L - 1) / L;
            const Size pixel = static_cast<Size>(state.pixel), picture = pixel * static_cast<Size>(s.pixels);
            for (int g = 0; g < (state.folded ? 1 : s.fold); g++)
                for (int v = 0; v < of_picture; v++)
                    vectors.push_back({state.x + static_cast<Size>(g) * picture + static_cast<Size>(v) * L, pixel,
                                       state.folded ? picture : picture * static_cast<Size>(s.fold),
                                       std::min(L, elements - v * L)});
            for (int c = 0; c < state.c; c++)
                for (int g = 0; g < s.fold; g++) {
                    const int element = state.folded ? c * s.fold + g : c;
                    places.push_back({begin + (state.folded ? 0 : g * of_picture) + element / L, element % L});
                }
        }
    }
};

/// Some lanes of one source vector on their way to a result's: to[i] += factors[i] * from[lanes[i]].
template <class T>
struct Move {
    using Index = hwy::MakeSigned<T>;
    int from;
    Index lanes[kLanes<T>] = {};
    T factors[kLanes<T>] = {};
};

/// By vector of the results, in the order of the sources.
template <class T>
std::vector<std::vector<Move<T>>> moves_of(const ChannelSumsShape& s, const Lanes<const T>& from, const Lanes<T>& to,
                                           std::span<const ChannelSummand> summands) {
    std::vector<std::vector<Move<T>>> moves(to.vectors.size());
    for (const ChannelSummand& summand : summands)
        for (int g = 0; g < s.fold; g++) {
            const auto in = from.places[static_cast<Size>(summand.from * s.fold + g)];
            const auto out = to.places[static_cast<Size>(summand.to * s.fold + g)];
            std::vector<Move<T>>& all = moves[static_cast<Size>(out.vector)];
            const auto lane = static_cast<Size>(out.lane);
            auto move = std::find_if(all.begin(), all.end(), [&](const Move<T>& m) {
                return m.from > in.vector || (m.from == in.vector && m.factors[lane] == T(0));
            });
            if (move == all.end() || move->from > in.vector) move = all.insert(move, Move<T>{in.vector});
            move->lanes[lane] = static_cast<typename Move<T>::Index>(in.lane);
            move->factors[lane] = static_cast<T>(summand.factor);
        }
    return moves;
}

/// Some pixels of one vector of the results.
template <int P, class T>
HWY_INLINE void sum_vector(const Lanes<const T>& from, const std::vector<Move<T>>& moves,
                           const typename Lanes<T>::OfVector& to, Size group, Size pixel, bool accumulate) {
    Vector<T> sums[P];
    T* const out = to.first + group * to.group + pixel * to.pixel;
#pragma GCC unroll 8
    for (int p = 0; p < P; p++)
        sums[p] = accumulate ? load_first(out + static_cast<Size>(p) * to.pixel, to.count) : zero<T>();
    for (const Move<T>& move : moves) {
        const auto& source = from.vectors[static_cast<Size>(move.from)];
        const T* const in = source.first + group * source.group + pixel * source.pixel;
        const auto lanes = hn::SetTableIndices(Tag<T>(), move.lanes);
        const Vector<T> factors = load(move.factors);
        const auto here = hn::Ne(factors, zero<T>());  // others may be no numbers
        auto add = [&](const auto& read) HWY_ATTR {
#pragma GCC unroll 8
            for (int p = 0; p < P; p++) {
                const Vector<T> v = hn::TableLookupLanes(read(in + static_cast<Size>(p) * source.pixel), lanes);
                sums[p] = hn::IfThenElse(here, hn::MulAdd(v, factors, sums[p]), sums[p]);
            }
        };
        if (source.count >= kLanes<T>)
            add([](const T* x) HWY_ATTR { return load(x); });
        else
            add([&](const T* x) HWY_ATTR { return load_first(x, source.count); });
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; p++) store_first<T>(sums[p], out + static_cast<Size>(p) * to.pixel, to.count);
}

template <class T>
void sums(const Stream& stream, const ChannelSumsShape& s, std::span<const SummedState<const T>> sources,
          std::span<const ChannelSummand> summands, std::span<const SummedState<T>> results, bool accumulate) {
    const Lanes<const T> from(s, sources);
    const Lanes<T> to(s, results);
    const std::vector<std::vector<Move<T>>> moves = moves_of<T>(s, from, to, summands);
    std::vector<char> read(from.vectors.size(), 0);
    for (const auto& of_vector : moves)
        for (const Move<T>& m : of_vector) read[static_cast<Size>(m.from)] = 1;
    const int runs = (s.pixels + kRun - 1) / kRun;
    const Chunks chunks(s.n / s.fold * runs);
    parallel(stream, chunks.count, [&](int chunk, int) HWY_ATTR {
        for (int i = chunks.begin(chunk); i < chunks.end(chunk); i++) {
            const Size group = static_cast<Size>(i / runs);
            const int first = i % runs * kRun, end = std::min(first + kRun, s.pixels);
            for (int p = first; p < end; p += kTogether) {
                const Size pixel = static_cast<Size>(p);
                for (Size v = 0; v < read.size(); v++) {
                    if (!read[v]) continue;
                    const auto& source = from.vectors[v];
                    const T* const ahead = source.first + group * source.group + (pixel + kAhead) * source.pixel;
                    for (int q = 0; q < kTogether; q++) hwy::Prefetch(ahead + static_cast<Size>(q) * source.pixel);
                }
                for (Size v = 0; v < moves.size(); v++) {
                    if (end - p >= kTogether) {
                        sum_vector<kTogether>(from, moves[v], to.vectors[v], group, pixel, accumulate);
                        continue;
                    }
                    for (int q = p; q < end; q++)
                        sum_vector<1>(from, moves[v], to.vectors[v], group, static_cast<Size>(q), accumulate);
                }
            }
        }
    });
}

#define NASCENT_CHANNEL_SUMS(T, SUFFIX)                                                                            \
    void sum_channels_##SUFFIX(const Stream& stream, const ChannelSumsShape& s,                                    \
                               std::span<const SummedState<const T>> sources, std::span<const ChannelSummand> all, \
                               std::span<const SummedState<T>> results, bool accumulate) {                         \
        sums<T>(stream, s, sources, all, results, accumulate);                                                     \
    }
NASCENT_CHANNEL_SUMS(float, f32)
NASCENT_CHANNEL_SUMS(double, f64)
#undef NASCENT_CHANNEL_SUMS

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(sum_channels_f32);
HWY_EXPORT(sum_channels_f64);

template <class T>
void sum_channels(const Stream& stream, const ChannelSumsShape& s, std::span<const SummedState<const T>> sources,
                  std::span<const ChannelSummand> summands, std::span<const SummedState<T>> results, bool accumulate) {
    NASCENT_DISPATCH(sum_channels, stream, s, sources, summands, results, accumulate)
}
template void sum_channels(const Stream&, const ChannelSumsShape&, std::span<const SummedState<const float>>,
                           std::span<const ChannelSummand>, std::span<const SummedState<float>>, bool);
template void sum_channels(const Stream&, const ChannelSumsShape&, std::span<const SummedState<const double>>,
                           std::span<const ChannelSummand>, std::span<const SummedState<double>>, bool);

}  // namespace nascent::kernels::cpu
#endif
