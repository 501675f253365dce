// The channels of a pixel in another order, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_SHUFFLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_SHUFFLE_INL_H_
#undef NASCENT_KERNELS_CPU_SHUFFLE_INL_H_
#else
#define NASCENT_KERNELS_CPU_SHUFFLE_INL_H_
#endif

#include <vector>

#include "kernels/cpu/simd-inl.h"
#include "kernels/partial.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Which channel goes where: to[i] = from[order[i]], in vectors.
template <class T>
class Shuffle {
  public:
    Shuffle(int channels, int groups, const ChannelOrder* given, bool inverse)
        : vectors_((channels + kLanes<T> - 1) / kLanes<T>) {
        constexpr int L = kLanes<T>;
        const int of = channels / groups;
        std::vector<int> order(static_cast<std::size_t>(channels));
        for (int c = 0; c < channels; c++) {
            const int from = given ? given->at[c] : c % groups * of + c / groups;
            order[static_cast<std::size_t>(inverse ? from : c)] = inverse ? c : from;
        }
        for (int to = 0; to < vectors_; to++) {
            begin_.push_back(static_cast<int>(from_.size()));
            for (int from = 0; from < vectors_; from++) {
                bool any = vectors_ <= kInRegisters;  // all of them, to be found by their place
                std::vector<Index> lanes(L, 0);
                std::vector<T> here(L, T(0));
                for (int c = to * L; c < std::min(channels, (to + 1) * L); c++) {
                    const int source = order[static_cast<std::size_t>(c)];
                    if (source / L != from) continue;
                    lanes[static_cast<std::size_t>(c % L)] = static_cast<Index>(source % L);
                    here[static_cast<std::size_t>(c % L)] = T(1);
                    any = true;
                }
                if (!any) continue;
                from_.push_back(from);
                lanes_.insert(lanes_.end(), lanes.begin(), lanes.end());
                here_.insert(here_.end(), here.begin(), here.end());
            }
        }
        begin_.push_back(static_cast<int>(from_.size()));
    }
    int vectors() const { return vectors_; }

    /// Vector `to` of the shuffled channels; V, the number of vectors, is at most kInRegisters.
    template <int V>
    HWY_INLINE Vector<T> of(const Vector<T> (&in)[V], int to) const {
        Vector<T> out = zero<T>();
#pragma GCC unroll 4
        for (int i = 0; i < V; i++) out = V == 1 ? moved(in[i], 0) : merged(in[i], to * V + i, out);
        return out;
    }
    /// Of channels in memory.
    HWY_INLINE Vector<T> of_row(const T* in, int to) const {
        Vector<T> out = zero<T>();
        for (int i = begin_[static_cast<std::size_t>(to)]; i < begin_[static_cast<std::size_t>(to) + 1]; i++)
            out = merged(load(in + from_[static_cast<std::size_t>(i)] * kLanes<T>), i, out);
        return out;
    }

  private:
    static constexpr int kInRegisters = 4;
    using Index = hwy::MakeSigned<T>;
    HWY_INLINE Vector<T> moved(Vector<T> in, int entry) const {
        return hn::TableLookupLanes(in, hn::SetTableIndices(Tag<T>(), lanes_.data() + entry * kLanes<T>));
    }
    HWY_INLINE Vector<T> merged(Vector<T> in, int entry, Vector<T> others) const {
        const auto here = hn::Ne(load(here_.data() + entry * kLanes<T>), zero<T>());
        return hn::IfThenElse(here, moved(in, entry), others);
    }

    int vectors_;
    std::vector<int> begin_, from_;  // of a vector's entries; which vector each reads
    std::vector<Index> lanes_;       // (entry, lane)
    std::vector<T> here_;            // (entry, lane): 1 where the lane comes from there
};

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
