// Batches of a loader on the device.
#pragma once
#include <functional>

#include "nas/algo/loss.h"
#include "nas/data/loader.h"

namespace nascent {

template <class T>
class PictureLoader;

/// Both in new tensors of the current arena. Throws Error(runtime) unless the pictures are size x size.
template <class T>
LabelledBatch to_device(const Batch<T>& batch, int size);
Tensor labels_to_device(const std::vector<int>& labels);

/// A loader of either type, as who steps sees it.
struct BatchSource {
    std::function<LabelledBatch(std::int64_t step)> batch;
    std::int64_t steps_per_epoch = 0;
    std::function<double()> wait_seconds;
};
/// They must be outlived by the loader.
template <class T>
BatchSource source_of(Loader<T>& loader, int size);
template <class T>
BatchSource source_of(PictureLoader<T>& loader);

}  // namespace nascent
