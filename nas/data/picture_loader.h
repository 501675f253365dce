// Batches of pictures of any size, decoded, cut, resized and varied by several threads.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nas/data/loader.h"
#include "nas/data/picture_source.h"
#include "nas/data/transform.h"

namespace nascent {

struct PictureLoaderOptions {
    PicturePipeline pipeline;
    bool train = true;  // the pipeline's training transform, else its evaluation transform
    std::uint64_t seed = 0;
    int batch_size = 64;
    BatchOrder order = BatchOrder::epochs;
    std::size_t epoch_pictures = 0;  // of `replacement`, as LoaderOptions has it
    LabelPolicy labels = LabelPolicy::truth;
    std::vector<int> fixed_labels;  // for LabelPolicy::fixed: one for every picture of the source
    /// A corrupt picture's place is taken, with its label, by the next one of `ids` that is not; it is listed in
    /// corrupt(). Otherwise it is an error that names it.
    bool skip_corrupt = false;
    /// Threads; 0: the caller prepares batches itself. No effect on the result.
    int workers = 1;
    /// Batches held ready, at least 1.
    int ahead = 2;
};

/// Batch `step` is a pure function of the pictures, the options and the step. What a picture draws is keyed by (seed,
/// epoch, picture), with BatchOrder::first_of_shuffle and ::replacement by (seed, step, picture or place): neither
/// workers nor restarts move it. T: float or double. One consumer thread.
template <class T>
class PictureLoader {
  public:
    /// `ids`: places in `source`; empty: all. Throws Error(usage) on an option, an id or a label out of range.
    PictureLoader(std::shared_ptr<const PictureSource> source, std::vector<std::uint32_t> ids,
                  PictureLoaderOptions options);
    ~PictureLoader();
    PictureLoader(const PictureLoader&) = delete;
    PictureLoader& operator=(const PictureLoader&) = delete;

    std::uint64_t steps_per_epoch() const;
    /// Pictures in batch `step`: of the last one of an epoch, what is left over.
    int batch_count(std::uint64_t step) const;
    /// The side of the pictures.
    int size() const;
    /// Pixels (n, size, size, 3); `out` is exchanged with the prepared buffer. Throws what preparing this batch threw:
    /// Error(data) that names a corrupt picture.
    void batch(std::uint64_t step, Batch<T>& out);
    /// Seconds `batch()` has spent waiting for, or preparing, data.
    double wait_seconds() const;
    /// "CLASS/FILE" of the corrupt pictures met so far, sorted.
    std::vector<std::string> corrupt() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace nascent
