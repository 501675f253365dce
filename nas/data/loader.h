// Batches of the run: batch `step` is a pure function of the data, the options and the step, whoever prepares it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "nas/data/dataset.h"
#include "nas/data/normalise.h"

namespace nascent {

/// Memory on cache-line borders, left uninitialised when it grows.
template <class T>
struct AlignedAllocator {
    using value_type = T;
    static constexpr std::align_val_t alignment{64};
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), alignment)); }
    void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }
    template <class U>
    void construct(U* p) {
        ::new (static_cast<void*>(p)) U;
    }
    template <class U, class... Args>
    void construct(U* p, Args&&... args) {
        ::new (static_cast<void*>(p)) U(std::forward<Args>(args)...);
    }
    bool operator==(const AlignedAllocator&) const { return true; }
};

template <class T>
struct Batch {
    std::vector<T, AlignedAllocator<T>> pixels;  // (n, h, w, 3), normalised
    std::vector<int> labels;                     // (n)
    int n = 0;
};

/// Where a training batch's labels come from: the data set, a table indexed by the picture's place in the data set
/// (RLNAS: drawn once), or a fresh draw at every access.
enum class LabelPolicy { truth, fixed, per_access };

/// `true | fixed-random | per-access-random`; throws Error(usage) on any other name.
LabelPolicy label_policy(const std::string& name);

/// Which pictures batch `step` holds: the next of a shuffled epoch; the first of a shuffle of its own (an iterator made
/// anew for every step, as DARTS's code draws for its alphas); a uniform draw for each place (NAS-Bench-201's
/// pairs); the next as they lie; or the next of an epoch that is shuffled once for all (PyTorch's DistributedSampler
/// whose set_epoch() is never called, as in RLNAS's ImageNet programs).
enum class BatchOrder { epochs, first_of_shuffle, replacement, in_order, one_shuffle };

struct LoaderOptions {
    std::uint64_t seed = 0;
    int batch_size = 64;
    BatchOrder order = BatchOrder::epochs;
    /// Of `replacement`: pictures in an epoch, which sets the size of its last batch; 0: as many as there are.
    std::size_t epoch_pictures = 0;
    bool augment = true;
    LabelPolicy labels = LabelPolicy::truth;
    std::vector<int> fixed_labels;  // for LabelPolicy::fixed: one for every picture of the split's `Pictures`
    /// Threads that prepare batches in the background; 0: the caller prepares them itself. No effect on the result.
    int workers = 1;
    /// Batches prepared ahead, at least 1.
    int ahead = 4;
    /// A further change of a picture (h, w, 3) after the crop, before normalisation. Called from several threads at
    /// once; must depend on its arguments alone.
    std::function<void(std::uint64_t step, int position, std::uint8_t* picture)> transform;
};

/// An epoch visits every picture of `ids` once, in the order of `shuffled(seed, order, epoch, ...)`; its last batch
/// holds what is left over. T: float or double. One consumer thread.
template <class T>
class Loader {
  public:
    /// `ids`: places in `pictures`, e.g. of a split; empty: all. `pictures` must outlive the loader.
    /// Throws Error(usage) on an option, an id or a label out of range.
    Loader(const Pictures& pictures, std::vector<std::uint32_t> ids, int classes, const Normalisation& norm,
           LoaderOptions options);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    std::uint64_t steps_per_epoch() const;
    /// Pictures in batch `step`.
    int batch_count(std::uint64_t step) const;

    /// Batch `step` of the run, counted from 0 over all epochs; any step may be asked for at no cost but its own
    /// preparation. `out` is exchanged with the prepared buffer: hand the same one in again and nothing is allocated.
    /// An exception met while preparing this batch is thrown here.
    void batch(std::uint64_t step, Batch<T>& out);

    /// What batch `step` is made of, for who reads the pictures where they lie: for each place of the batch the
    /// picture's number, the first row and column of the crop in the padded picture, and 1 where it is mirrored; and
    /// the labels. Drawn by the caller itself. Not with a `transform`: throws Error(usage).
    void draws(std::uint64_t step, std::vector<std::array<std::int32_t, 4>>& draws, std::vector<int>& labels) const;
    bool transforms() const;
    const Pictures& pictures() const;
    const NormalisationTable<T>& table() const;

    /// Seconds `batch()` has spent waiting for, or preparing, data.
    double wait_seconds() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Pictures index * batch_size ... of `ids` (empty: all), in order, not augmented, true labels; n = 0 past the end.
template <class T>
void evaluation_batch(const Pictures& pictures, std::span<const std::uint32_t> ids, const Normalisation& norm,
                      std::size_t index, int batch_size, Batch<T>& out);

}  // namespace nascent
