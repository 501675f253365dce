#include "nas/algo/held_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/autograd/execution.h"
#include "engine/base/rng.h"
#include "nas/algo/batches.h"
#include "ops/picture_stem.h"

namespace nascent {
namespace {

constexpr int kDecoded = 64;  // pictures of a loader's batch while they are taken

/// 0..255 as they are.
Normalisation bytes_as_they_are() { return {"bytes", {0, 0, 0}, {1.0 / 255, 1.0 / 255, 1.0 / 255}}; }

template <class Options>
Options loader_options(const HeldRequest& r) {
    Options o;
    o.seed = r.seed;
    o.batch_size = static_cast<int>(std::min<std::size_t>(kDecoded, r.ids.size()));
    o.order = BatchOrder::in_order;
    o.workers = r.workers;
    return o;
}

}  // namespace

HeldPictures::HeldPictures(Device& device, DType dtype, std::shared_ptr<const PictureSource> source,
                           const PicturePipeline& pipeline, const HeldRequest& r)
    : arena_(device), dtype_(dtype), side_(r.training ? pipeline.train.size : pipeline.evaluation.crop) {
    auto o = loader_options<PictureLoaderOptions>(r);
    o.pipeline = pipeline;
    o.pipeline.format.scale = PixelFormat::Scale::bytes;
    o.train = r.training;
    o.skip_corrupt = r.skip_corrupt;
    PictureLoader<float> loader(std::move(source), r.ids, std::move(o));
    take(loader, r);
    with_type(dtype, [&](auto zero) { put_table(pixel_table<decltype(zero)>(pipeline.format)); });
}

HeldPictures::HeldPictures(Device& device, DType dtype, const Pictures& pictures, int classes,
                           const Normalisation& norm, const HeldRequest& r)
    : arena_(device), dtype_(dtype), side_(pictures.height) {
    NASCENT_CHECK(pictures.height == pictures.width, usage, "pictures of {} x {}, expected squares", pictures.width,
                  pictures.height);
    auto o = loader_options<LoaderOptions>(r);
    o.augment = r.training;
    Loader<float> loader(pictures, r.ids, classes, bytes_as_they_are(), std::move(o));
    take(loader, r);
    with_type(dtype, [&](auto zero) { put_table(normalisation_table<decltype(zero)>(norm)); });
}

template <class T>
void HeldPictures::put_table(const NormalisationTable<T>& table) {
    table_ = arena_.tensor({256, 3}, dtype_);
    arena_.device().copy_in(table_.data, table.data(), table_.bytes());
}

template <class Loader>
void HeldPictures::take(Loader& loader, const HeldRequest& r) {
    NASCENT_CHECK(r.count > 0 && r.count <= std::size_t{1} << 30, usage, "{} pictures to hold", r.count);
    const std::size_t values = static_cast<std::size_t>(side_) * static_cast<std::size_t>(side_) * 3;
    std::vector<std::uint8_t> bytes(r.count * values);
    Batch<float> batch;
    for (std::uint64_t step = 0; labels_.size() < r.count; step++) {
        r.poll();
        loader.batch(step, batch);
        const std::size_t n = std::min(static_cast<std::size_t>(batch.n), r.count - labels_.size());
        std::uint8_t* to = &bytes[labels_.size() * values];
        for (std::size_t i = 0; i < n * values; i++) to[i] = static_cast<std::uint8_t>(std::lround(batch.pixels[i]));
        labels_.insert(labels_.end(), batch.labels.begin(), batch.labels.begin() + static_cast<std::ptrdiff_t>(n));
    }
    pictures_ = arena_.tensor({static_cast<std::int64_t>(r.count), side_, side_, 3}, DType::u8);
    arena_.device().copy_in(pictures_.data, bytes.data(), bytes.size());
}

LabelledBatch HeldPictures::batch(std::size_t first, int count) const {
    std::vector<std::array<std::int32_t, 4>> draws;
    std::vector<int> labels;
    for (int i = 0; i < count; i++) {
        const std::size_t place = (first + static_cast<std::size_t>(i)) % labels_.size();
        draws.push_back({static_cast<std::int32_t>(place), 0, 0, 0});
        labels.push_back(labels_[place]);
    }
    PictureInput in;
    in.pictures = pictures_;
    in.table = table_;
    in.draws = empty({count, 4}, DType::i32);
    in.draws.device->copy_in(in.draws.data, draws.data(), in.draws.bytes());
    return {picture_input(in), labels_to_device(labels)};
}

std::vector<std::uint32_t> first_shuffled(std::uint64_t seed, std::uint64_t salt, std::size_t all, std::size_t count) {
    std::vector<std::uint32_t> ids;
    for (std::size_t i = 0; i < (count == 0 ? all : std::min(all, count)); i++)
        ids.push_back(static_cast<std::uint32_t>(shuffled(seed, RandomStream::search, salt, all, i)));
    return ids;
}

}  // namespace nascent
