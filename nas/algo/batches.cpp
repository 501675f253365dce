#include "nas/algo/batches.h"

#include "engine/autograd/execution.h"
#include "nas/data/picture_loader.h"

namespace nascent {

Tensor labels_to_device(const std::vector<int>& labels) {
    Tensor t = empty({static_cast<std::int64_t>(labels.size())}, DType::i32);
    t.device->copy_in(t.data, labels.data(), t.bytes());
    return t;
}

template <class T>
LabelledBatch to_device(const Batch<T>& batch, int size) {
    Tensor x = empty({batch.n, size, size, 3}, dtype_of<T>());
    NASCENT_CHECK(batch.pixels.size() == x.size(), runtime, "the pictures are not of the network's size {}", size);
    x.device->copy_in(x.data, batch.pixels.data(), x.bytes());
    return {x, labels_to_device(batch.labels)};
}
template LabelledBatch to_device(const Batch<float>&, int);
template LabelledBatch to_device(const Batch<double>&, int);

namespace {
template <class T, class Any>
BatchSource batches_of(Any& loader, int size) {
    return {[&loader, size, batch = std::make_shared<Batch<T>>()](std::int64_t step) {
                loader.batch(static_cast<std::uint64_t>(step), *batch);
                return to_device(*batch, size);
            },
            static_cast<std::int64_t>(loader.steps_per_epoch()),
            [&loader] { return loader.wait_seconds(); },
            nullptr,
            nullptr,
            {}};
}
}  // namespace

template <class T>
BatchSource source_of(Loader<T>& loader, int size) {
    BatchSource source = batches_of<T>(loader, size);
    if (loader.transforms()) return source;
    source.draws = [&loader](std::int64_t step, BatchDraws& d) {
        loader.draws(static_cast<std::uint64_t>(step), d.draws, d.labels);
    };
    source.pictures = &loader.pictures();
    const auto bytes = std::as_bytes(std::span(loader.table()));
    source.table.assign(bytes.begin(), bytes.end());
    return source;
}
template BatchSource source_of(Loader<float>&, int);
template BatchSource source_of(Loader<double>&, int);

template <class T>
BatchSource source_of(PictureLoader<T>& loader) {
    return batches_of<T>(loader, loader.size());
}
template BatchSource source_of(PictureLoader<float>&);
template BatchSource source_of(PictureLoader<double>&);

}  // namespace nascent
