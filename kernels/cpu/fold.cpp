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
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/cpu/shuffle-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

using Size = std::size_t;
/// Pixels that are asked for before they are read: they come from memory, a channel vector of each.
inline constexpr Size kAhead = 16;

/// Pictures that lie side by side, apart: (fold, run of pixels, seen) behind one another, and room for a vector that
/// begins in the last pixel.
template <class T>
class Apart {
  public:
    static constexpr int kRun = 32;  // pixels
    explicit Apart(const FoldedShape& s)
        : fold_(s.fold),
          stride_(static_cast<Size>(kRun) * s.seen + Size{2} * s.seen + kLanes<T>),
          values_(stride_ * static_cast<Size>(s.fold)) {}
    T* picture(int g) { return values_.data() + stride_ * static_cast<Size>(g); }

    /// From and to `count` folded elements of each picture.
    void take(const T* folded, Size count) {
        with_fold([&]<int F>(int fold) {
            T* const to = values_.data();
            for (Size i = 0; i < count; i++)
                for (int g = 0; g < (F ? F : fold); g++)
                    to[static_cast<Size>(g) * stride_ + i] = folded[i * static_cast<Size>(F ? F : fold) + g];
        });
    }
    void put(T* folded, Size count) const {
        with_fold([&]<int F>(int fold) {
            const T* const from = values_.data();
            for (Size i = 0; i < count; i++)
                for (int g = 0; g < (F ? F : fold); g++)
                    folded[i * static_cast<Size>(F ? F : fold) + g] = from[static_cast<Size>(g) * stride_ + i];
        });
    }

  private:
    template <class Of>
    HWY_INLINE void with_fold(const Of& of) const {
        if (fold_ == 1) return of.template operator()<1>(1);
        if (fold_ == 2) return of.template operator()<2>(2);
        if (fold_ == 4) return of.template operator()<4>(4);
        if (fold_ == 8) return of.template operator()<8>(8);
        of.template operator()<0>(fold_);
    }
    int fold_;
    Size stride_;
    std::vector<T> values_;
};

/// f(picture g of those side by side, its first pixel in states, count), with before(folded element, elements of a
/// picture) and after(the same) around those of one run of pixels.
template <class Scratch, class Before, class F, class After>
void for_each_run(const Stream& stream, const FoldedShape& s, const Scratch& make, const Before& before, const F& f,
                  const After& after) {
    constexpr int kRun = 32;
    const int runs = (s.pixels + kRun - 1) / kRun;
    const Chunks chunks(s.n / s.fold * runs);
    parallel(stream, chunks.count, [&](int chunk, int) HWY_ATTR {
        auto scratch = make();
        for (int i = chunks.begin(chunk); i < chunks.end(chunk); i++) {
            const int first = i % runs * kRun, count = std::min(kRun, s.pixels - first);
            const Size together = static_cast<Size>(i / runs), pixels = static_cast<Size>(s.pixels);
            const Size of_picture = static_cast<Size>(s.seen),
                       at = (together * pixels + static_cast<Size>(first)) * of_picture * static_cast<Size>(s.fold);
            before(scratch, at, static_cast<Size>(count) * of_picture);
            for (int g = 0; g < s.fold; g++)
                f(scratch, g,
                  (together * static_cast<Size>(s.fold) + static_cast<Size>(g)) * pixels + static_cast<Size>(first),
                  count);
            after(scratch, at, static_cast<Size>(count) * of_picture);
        }
    });
}

/// A vector of a pixel's channels from `c` on: those that operators see from `seen`, behind them the sum of `around`.
template <class T>
HWY_INLINE Vector<T> side_by_side(const FoldedShape& s, const T* seen, std::span<const Around<T>> around, Size pixel,
                                  int c) {
    constexpr int L = kLanes<T>;
    if (s.seen - c >= L) return load(seen + c);
    Vector<T> sum = zero<T>();
    const bool whole = c >= s.seen && s.c - c >= L;
    const auto lanes = hn::AndNot(hn::FirstN(Tag<T>(), static_cast<Size>(std::max(0, s.seen - c))),
                                  hn::FirstN(Tag<T>(), static_cast<Size>(s.c - c)));
    for (const Around<T>& a : around) {
        const T* x = a.x + static_cast<std::ptrdiff_t>(pixel * static_cast<Size>(a.pixel)) + (c - a.first);
        hwy::Prefetch(x + kAhead * static_cast<Size>(a.pixel));
        const Vector<T> v = whole ? load(x) : hn::MaskedLoad(lanes, Tag<T>(), x);
        sum = hn::MulAdd(v, set(a.weight ? a.weight[0] : T(1)), sum);
    }
    if (c >= s.seen) return sum;
    return hn::IfThenElse(hn::FirstN(Tag<T>(), static_cast<Size>(s.seen - c)), load(seen + c), sum);
}

template <class T>
struct Joining {
    Apart<T> seen, next;
};

/// V vectors of channels of a pixel, in registers, shuffled; with V = 0 as many as there are, in memory.
template <int V, class T, class Read, class Write>
HWY_INLINE void shuffle_pixel(const Shuffle<T>& shuffle, T* row, const Read& read, const Write& write) {
    if constexpr (V > 0) {
        Vector<T> in[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) in[v] = read(v * kLanes<T>);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) write(shuffle.of(in, v), v * kLanes<T>);
    } else {
        for (int v = 0; v < shuffle.vectors(); v++) store<T>(read(v * kLanes<T>), row + v * kLanes<T>);
        for (int v = 0; v < shuffle.vectors(); v++) write(shuffle.of_row(row, v), v * kLanes<T>);
    }
}
template <class T, class Of>
void with_vectors(const Shuffle<T>& shuffle, const Of& of) {
    if (shuffle.vectors() == 1) return of.template operator()<1>();
    if (shuffle.vectors() == 2) return of.template operator()<2>();
    if (shuffle.vectors() == 3) return of.template operator()<3>();
    if (shuffle.vectors() == 4) return of.template operator()<4>();
    of.template operator()<0>();
}

template <class T>
void join(const Stream& stream, const FoldedShape& s, const T* folded, std::span<const Around<T>> around, T* y,
          int y_pixel, T* next) {
    const Shuffle<T> shuffle(s.c, s.groups, s.order, false);
    auto all = [&]<int V>() {
        for_each_run(
            stream, s,
            [&] {
                return Joining<T>{Apart<T>(s), Apart<T>(s)};
            },
            [&](Joining<T>& b, Size at, Size count) { b.seen.take(folded + at, count); },
            [&](Joining<T>& b, int g, Size first, int count) HWY_ATTR {
                std::vector<T> row(V > 0 ? 0 : static_cast<Size>(shuffle.vectors()) * kLanes<T>);
                const T* seen = b.seen.picture(g);
                T* of_next = b.next.picture(g);
                for (int p = 0; p < count; p++, seen += s.seen, of_next += s.seen) {
                    const Size pixel = first + static_cast<Size>(p);
                    T* const to = y + pixel * static_cast<Size>(y_pixel);
                    shuffle_pixel<V>(
                        shuffle, row.data(), [&](int c) HWY_ATTR { return side_by_side(s, seen, around, pixel, c); },
                        [&](Vector<T> v, int c) HWY_ATTR {
                            store_first<T>(v, to + c, s.c - c);
                            if (next && c < s.seen) store<T>(v, of_next + c);  // what is too much is overwritten
                        });
                }
            },
            [&](Joining<T>& b, Size at, Size count) {
                if (next) b.next.put(next + at, count);
            });
    };
    with_vectors(shuffle, all);
}

template <class T>
void part(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next,
          std::span<const Around<T>> around, T* dx, int dx_pixel, T* folded) {
    const Shuffle<T> shuffle(s.c, s.groups, s.order, true);
    auto all = [&]<int V>() {
        for_each_run(
            stream, s,
            [&] {
                return Joining<T>{Apart<T>(s), Apart<T>(s)};
            },
            [&](Joining<T>& b, Size at, Size count) {
                if (next) b.next.take(next + at, count);
            },
            [&](Joining<T>& b, int g, Size first, int count) HWY_ATTR {
                std::vector<T> row(V > 0 ? 0 : static_cast<Size>(shuffle.vectors()) * kLanes<T>);
                T* seen = b.seen.picture(g);
                const T* of_next = b.next.picture(g);
                for (int p = 0; p < count; p++, seen += s.seen, of_next += s.seen) {
                    const Size pixel = first + static_cast<Size>(p);
                    const T* const from = dy ? dy + pixel * static_cast<Size>(dy_pixel) : nullptr;
                    T* const to = dx + pixel * static_cast<Size>(dx_pixel);
                    shuffle_pixel<V>(
                        shuffle, row.data(),
                        [&](int c) HWY_ATTR {
                            if (from) hwy::Prefetch(from + kAhead * static_cast<Size>(dy_pixel) + c);
                            Vector<T> v = from ? load_first(from + c, s.c - c) : zero<T>();
                            if (next) {
                                const Vector<T> more = side_by_side(s, of_next, around, pixel, c);
                                v = from ? hn::Add(v, more) : more;
                            }
                            return v;
                        },
                        [&](Vector<T> v, int c) HWY_ATTR {
                            store_first<T>(v, to + c, s.c - c);
                            if (c < s.seen) store<T>(v, seen + c);  // what is too much is overwritten
                        });
                }
            },
            [&](Joining<T>& b, Size at, Size count) { b.seen.put(folded + at, count); });
    };
    with_vectors(shuffle, all);
}

/// The first channels between a state and where they lie folded.
template <bool Fold, class State, class Folded>
void move(const Stream& stream, const FoldedShape& s, State* x, int x_pixel, Folded* folded) {
    using T = std::remove_const_t<State>;
    for_each_run(
        stream, s, [&] { return Apart<T>(s); },
        [&](Apart<T>& apart, Size at, Size count) {
            if constexpr (!Fold) apart.take(folded + at, count);
        },
        [&](Apart<T>& apart, int g, Size first, int count) HWY_ATTR {
            T* seen = apart.picture(g);
            for (int p = 0; p < count; p++, seen += s.seen)
                for (int c = 0; c < s.seen; c += kLanes<T>) {
                    auto* const of_state = x + (first + static_cast<Size>(p)) * static_cast<Size>(x_pixel) + c;
                    if constexpr (Fold)
                        store<T>(load_first<T>(of_state, s.seen - c), seen + c);
                    else
                        store_first<T>(load(seen + c), of_state, s.seen - c);
                }
        },
        [&](Apart<T>& apart, Size at, Size count) {
            if constexpr (Fold) apart.put(folded + at, count);
        });
}

#define NASCENT_FOLD(T, SUFFIX)                                                                                     \
    void fold_channels_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* x, int x_pixel, T* folded) {   \
        move<true>(stream, s, x, x_pixel, folded);                                                                  \
    }                                                                                                               \
    void unfold_channels_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* folded, T* x, int x_pixel) { \
        move<false>(stream, s, x, x_pixel, folded);                                                                 \
    }                                                                                                               \
    void join_folded_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* folded,                          \
                              std::span<const Around<T>> around, T* y, int y_pixel, T* next) {                      \
        join<T>(stream, s, folded, around, y, y_pixel, next);                                                       \
    }                                                                                                               \
    void part_folded_##SUFFIX(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next, \
                              std::span<const Around<T>> around, T* dx, int dx_pixel, T* folded) {                  \
        part<T>(stream, s, dy, dy_pixel, next, around, dx, dx_pixel, folded);                                       \
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
void join_folded(const Stream& stream, const FoldedShape& s, const T* folded, std::span<const Around<T>> around, T* y,
                 int y_pixel, T* next) {
    NASCENT_DISPATCH(join_folded, stream, s, folded, around, y, y_pixel, next)
}
template <class T>
void part_folded(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next,
                 std::span<const Around<T>> around, T* dx, int dx_pixel,
                 T* folded){NASCENT_DISPATCH(part_folded, stream, s, dy, dy_pixel, next, around, dx, dx_pixel, folded)}

#define NASCENT_FOLD(T)                                                                                               \
    template void fold_channels(const Stream&, const FoldedShape&, const T*, int, T*);                                \
    template void unfold_channels(const Stream&, const FoldedShape&, const T*, T*, int);                              \
    template void join_folded(const Stream&, const FoldedShape&, const T*, std::span<const Around<T>>, T*, int, T*);  \
    template void part_folded(const Stream&, const FoldedShape&, const T*, int, const T*, std::span<const Around<T>>, \
                              T*, int, T*);
NASCENT_FOLD(float) NASCENT_FOLD(double)
#undef NASCENT_FOLD

}  // namespace nascent::kernels::cpu
#endif
