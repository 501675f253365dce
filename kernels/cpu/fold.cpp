#include "kernels/fold.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/fold.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

using Size = std::size_t;

/// A run of pixels of one picture: where its first lies in a state and in the folded channels.
struct PictureRun {
    Size state, folded;  // pixels; elements
    int count;
};

/// f(run) for runs of pixels, those of pictures that lie side by side one after the other.
template <class F>
void for_each_run(const Stream& stream, const FoldedShape& s, const F& f) {
    constexpr int kRun = 64;
    const int runs = (s.pixels + kRun - 1) / kRun;
    const Chunks chunks(s.n / s.fold * runs);
    parallel(stream, chunks.count, [&](int chunk, int) HWY_ATTR {
        for (int i = chunks.begin(chunk); i < chunks.end(chunk); i++)
            for (int g = 0; g < s.fold; g++) {
                const int first = i % runs * kRun;
                const Size together = static_cast<Size>(i / runs), pixels = static_cast<Size>(s.pixels);
                const Size at = static_cast<Size>(first);
                f(PictureRun{(together * s.fold + g) * pixels + at,
                             ((together * pixels + at) * s.fold + g) * static_cast<Size>(s.seen),
                             std::min(kRun, s.pixels - first)});
            }
    });
}

/// Which channel goes where: to[i] = from[order[i]], in vectors.
template <class T>
class Shuffle {
  public:
    static constexpr int kMost = 4;  // vectors; wider states are shuffled channel by channel

    Shuffle(const FoldedShape& s, bool inverse) : vectors_((s.c + kLanes<T> - 1) / kLanes<T>), order_(s.c) {
        const int of = s.c / s.groups;
        for (int c = 0; c < s.c; c++) {
            const int from = s.order ? s.order->at[c] : c % s.groups * of + c / s.groups;
            order_[static_cast<Size>(inverse ? from : c)] = inverse ? c : from;
        }
        if (vectors_ > kMost) return;
        constexpr int L = kLanes<T>;
        const auto tables = static_cast<Size>(vectors_) * vectors_;
        lanes_.assign(tables * L, 0);
        from_.assign(tables * L, T(0));
        for (int c = 0; c < s.c; c++) {
            const int source = order_[static_cast<Size>(c)];
            const Size at = (static_cast<Size>(c / L) * vectors_ + source / L) * L + c % L;
            lanes_[at] = static_cast<Index>(source % L);
            from_[at] = T(1);
        }
    }
    int vectors() const { return vectors_; }
    int operator[](int c) const { return order_[static_cast<Size>(c)]; }

    /// Vector `to` of the shuffled channels.
    template <int V>
    HWY_INLINE Vector<T> of(const Vector<T> (&in)[V], int to) const {
        constexpr int L = kLanes<T>;
        const Tag<T> d;
        Vector<T> out = zero<T>();
#pragma GCC unroll 4
        for (int i = 0; i < V; i++) {
            const Size at = static_cast<Size>(to * V + i) * L;
            const auto moved = hn::TableLookupLanes(in[i], hn::SetTableIndices(d, lanes_.data() + at));
            out = V == 1 ? moved : hn::IfThenElse(hn::Ne(load(from_.data() + at), zero<T>()), moved, out);
        }
        return out;
    }

  private:
    using Index = hwy::MakeSigned<T>;
    int vectors_;
    std::vector<int> order_;
    std::vector<Index> lanes_;  // (to, from, lane)
    std::vector<T> from_;       // 1 where the lane comes from there
};

/// A vector of channels from `c` on: of the folded ones as far as they go, the rest of x.
template <class T>
HWY_INLINE Vector<T> side_by_side(const T* folded, int seen, const T* x, int c, int channels) {
    if (seen - c >= kLanes<T>) return load(folded + c);
    const Vector<T> others = load_first(x + c, channels - c);
    if (seen <= c) return others;
    return hn::IfThenElse(hn::FirstN(Tag<T>(), static_cast<Size>(seen - c)), load_first(folded + c, seen - c), others);
}

template <class T>
HWY_INLINE void store_seen(Vector<T> v, T* folded, int seen, int c) {
    if (c < seen) store_first<T>(v, folded + c, seen - c);
}

template <int V, class T>
void join_run(const FoldedShape& s, const Shuffle<T>& shuffle, const PictureRun& run, const T* folded, const T* x,
              int x_pixel, T* y, int y_pixel, T* next) {
    constexpr int L = kLanes<T>;
    const Size step = static_cast<Size>(s.fold) * s.seen;
    for (int p = 0; p < run.count; p++) {
        const Size at = run.state + static_cast<Size>(p), f = run.folded + static_cast<Size>(p) * step;
        Vector<T> in[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) in[v] = side_by_side(folded + f, s.seen, x + at * x_pixel, v * L, s.c);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const Vector<T> out = shuffle.of(in, v);
            store_first<T>(out, y + at * y_pixel + v * L, s.c - v * L);
            if (next) store_seen(out, next + f, s.seen, v * L);
        }
    }
}

template <class T>
void join(const Stream& stream, const FoldedShape& s, const T* folded, const T* x, int x_pixel, T* y, int y_pixel,
          T* next) {
    const Shuffle<T> shuffle(s, false);
    for_each_run(stream, s, [&](const PictureRun& run) HWY_ATTR {
        auto of = [&]<int V>() { join_run<V>(s, shuffle, run, folded, x, x_pixel, y, y_pixel, next); };
        if (shuffle.vectors() == 1) return of.template operator()<1>();
        if (shuffle.vectors() == 2) return of.template operator()<2>();
        if (shuffle.vectors() == 3) return of.template operator()<3>();
        if (shuffle.vectors() == 4) return of.template operator()<4>();
        for (int p = 0; p < run.count; p++) {
            const Size at = run.state + static_cast<Size>(p);
            const Size f = run.folded + static_cast<Size>(p) * s.fold * s.seen;
            for (int c = 0; c < s.c; c++) {
                const int from = shuffle[c];
                const T value = from < s.seen ? folded[f + from] : x[at * x_pixel + from];
                y[at * y_pixel + c] = value;
                if (next && c < s.seen) next[f + c] = value;
            }
        }
    });
}

template <int V, class T>
void part_run(const FoldedShape& s, const Shuffle<T>& shuffle, const PictureRun& run, const T* dy, int dy_pixel,
              const T* next, const T* more, int more_pixel, T* dx, int dx_pixel, T* folded) {
    constexpr int L = kLanes<T>;
    const Size step = static_cast<Size>(s.fold) * s.seen;
    for (int p = 0; p < run.count; p++) {
        const Size at = run.state + static_cast<Size>(p), f = run.folded + static_cast<Size>(p) * step;
        Vector<T> in[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            in[v] = load_first(dy + at * dy_pixel + v * L, s.c - v * L);
            if (next) in[v] = hn::Add(in[v], side_by_side(next + f, s.seen, more + at * more_pixel, v * L, s.c));
        }
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const Vector<T> out = shuffle.of(in, v);
            store_first<T>(out, dx + at * dx_pixel + v * L, s.c - v * L);
            store_seen(out, folded + f, s.seen, v * L);
        }
    }
}

template <class T>
void part(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next, const T* more,
          int more_pixel, T* dx, int dx_pixel, T* folded) {
    const Shuffle<T> shuffle(s, true);
    for_each_run(stream, s, [&](const PictureRun& run) HWY_ATTR {
        auto of = [&]<int V>() {
            part_run<V>(s, shuffle, run, dy, dy_pixel, next, more, more_pixel, dx, dx_pixel, folded);
        };
        if (shuffle.vectors() == 1) return of.template operator()<1>();
        if (shuffle.vectors() == 2) return of.template operator()<2>();
        if (shuffle.vectors() == 3) return of.template operator()<3>();
        if (shuffle.vectors() == 4) return of.template operator()<4>();
        for (int p = 0; p < run.count; p++) {
            const Size at = run.state + static_cast<Size>(p);
            const Size f = run.folded + static_cast<Size>(p) * s.fold * s.seen;
            for (int c = 0; c < s.c; c++) {
                const int from = shuffle[c];
                T value = dy[at * dy_pixel + from];
                if (next) value += from < s.seen ? next[f + from] : more[at * more_pixel + from];
                dx[at * dx_pixel + c] = value;
                if (c < s.seen) folded[f + c] = value;
            }
        }
    });
}

/// The first channels between a state and where they lie folded.
template <bool Fold, class State, class Folded>
void move(const Stream& stream, const FoldedShape& s, State* x, int x_pixel, Folded* folded) {
    using T = std::remove_const_t<State>;
    const Size step = static_cast<Size>(s.fold) * s.seen;
    for_each_run(stream, s, [&](const PictureRun& run) HWY_ATTR {
        for (int p = 0; p < run.count; p++)
            for (int c = 0; c < s.seen; c += kLanes<T>) {
                auto* of_state = x + (run.state + static_cast<Size>(p)) * x_pixel + c;
                auto* of_folded = folded + run.folded + static_cast<Size>(p) * step + c;
                if constexpr (Fold)
                    store_first<T>(load_first<T>(of_state, s.seen - c), of_folded, s.seen - c);
                else
                    store_first<T>(load_first<T>(of_folded, s.seen - c), of_state, s.seen - c);
            }
    });
}

#define NASCENT_FOLD(T, SUFFIX)                                                                                     \
    void fold_channels_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* x, int x_pixel, T* folded) {   \
        move<true>(stream, s, x, x_pixel, folded);                                                                  \
    }                                                                                                               \
    void unfold_channels_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* folded, T* x, int x_pixel) { \
        move<false>(stream, s, x, x_pixel, folded);                                                                 \
    }                                                                                                               \
    void join_folded_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* folded, const T* x, int x_pixel, \
                              T* y, int y_pixel, T* next) {                                                         \
        join(stream, s, folded, x, x_pixel, y, y_pixel, next);                                                      \
    }                                                                                                               \
    void part_folded_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next, \
                              const T* more, int more_pixel, T* dx, int dx_pixel, T* folded) {                      \
        part(stream, s, dy, dy_pixel, next, more, more_pixel, dx, dx_pixel, folded);                                \
    }
NASCENT_FOLD(float, f32)
NASCENT_FOLD(double, f64)
#undef NASCENT_FOLD

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(fold_channels_f32);
HWY_EXPORT(fold_channels_f64);
HWY_EXPORT(unfold_channels_f32);
HWY_EXPORT(unfold_channels_f64);
HWY_EXPORT(join_folded_f32);
HWY_EXPORT(join_folded_f64);
HWY_EXPORT(part_folded_f32);
HWY_EXPORT(part_folded_f64);

template <class T>
void fold_channels(const Stream& stream, const FoldedShape& s, const T* x, int x_pixel, T* folded) {
    NASCENT_DISPATCH(fold_channels, stream, s, x, x_pixel, folded)
}
template <class T>
void unfold_channels(const Stream& stream, const FoldedShape& s, const T* folded, T* x, int x_pixel) {
    NASCENT_DISPATCH(unfold_channels, stream, s, folded, x, x_pixel)
}
template <class T>
void join_folded(const Stream& stream, const FoldedShape& s, const T* folded, const T* x, int x_pixel, T* y,
                 int y_pixel, T* next) {
    NASCENT_DISPATCH(join_folded, stream, s, folded, x, x_pixel, y, y_pixel, next)
}
template <class T>
void part_folded(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next, const T* more,
                 int more_pixel, T* dx, int dx_pixel, T* folded){
    NASCENT_DISPATCH(part_folded, stream, s, dy, dy_pixel, next, more, more_pixel, dx, dx_pixel, folded)}

#define NASCENT_FOLD(T)                                                                                 \
    template void fold_channels(const Stream&, const FoldedShape&, const T*, int, T*);                  \
    template void unfold_channels(const Stream&, const FoldedShape&, const T*, T*, int);                \
    template void join_folded(const Stream&, const FoldedShape&, const T*, const T*, int, T*, int, T*); \
    template void part_folded(const Stream&, const FoldedShape&, const T*, int, const T*, const T*, int, T*, int, T*);
NASCENT_FOLD(float) NASCENT_FOLD(double)
#undef NASCENT_FOLD

}  // namespace nascent::kernels::cpu
#endif
