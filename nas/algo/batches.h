// Batches of a loader on the device.
#pragma once
#include <array>
#include <cstddef>
#include <functional>
#include <vector>

#include "nas/algo/loss.h"
#include "nas/data/loader.h"

namespace nascent {

template <class T>
class PictureLoader;

/// Both in new tensors of the current arena. Throws Error(runtime) unless the pictures are size x size.
template <class T>
LabelledBatch to_device(const Batch<T>& batch, int size);
Tensor labels_to_device(const std::vector<int>& labels);

/// What a batch is made of, for who has the pictures on the device (Loader::draws).
struct BatchDraws {
    std::vector<std::array<std::int32_t, 4>> draws;
    std::vector<int> labels;
};

/// A loader of either type, as who steps sees it.
struct BatchSource {
    std::function<LabelledBatch(std::int64_t step)> batch;
    std::int64_t steps_per_epoch = 0;
    std::function<double()> wait_seconds;
    /// The same batches as draws among `pictures`, of whose bytes `table` (256, 3), of the batches' type, makes pixels.
    /// Null: there are only pixels.
    std::function<void(std::int64_t step, BatchDraws& draws)> draws = nullptr;
    const Pictures* pictures = nullptr;
    std::vector<std::byte> table = {};
};
/// They must be outlived by the loader.
template <class T>
BatchSource source_of(Loader<T>& loader, int size);
template <class T>
BatchSource source_of(PictureLoader<T>& loader);

}  // namespace nascent
