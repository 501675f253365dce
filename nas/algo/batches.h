// Batches of a loader on the device.
#pragma once
#include "nas/algo/loss.h"
#include "nas/data/loader.h"

namespace nascent {

/// Both in new tensors of the current arena. Throws Error(runtime) unless the pictures are size x size.
template <class T>
LabelledBatch to_device(const Batch<T>& batch, int size);
Tensor labels_to_device(const std::vector<int>& labels);

}  // namespace nascent
