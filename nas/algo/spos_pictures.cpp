#include "nas/algo/spos_pictures.h"

#include <fmt/format.h>

#include <numeric>

#include "nas/data/holdout.h"
#include "nas/data/picture_loader.h"

namespace nascent {
namespace {

std::vector<std::uint32_t> all_of(std::size_t count) {
    std::vector<std::uint32_t> ids(count);
    std::iota(ids.begin(), ids.end(), 0u);
    return ids;
}

std::string name_of(const PixelFormat& format, const std::string& pipeline) {
    std::string scale = format.norm.name;
    if (format.scale == PixelFormat::Scale::bytes) scale = "0..255";
    if (format.scale == PixelFormat::Scale::unit) scale = "0..1";
    return fmt::format("{}, pipeline {}", scale, pipeline);
}

}  // namespace

SposPictures::SposPictures(const SposConfig& c) {
    if (c.data.pipeline == "none") {
        set = load_pictures(c.data, c.run);
        norm = normalisation(c.data.norm, set);
    } else {
        Scope scope("--data {}", c.data.source);
        pipeline = at_size(picture_pipeline(c.data.pipeline), c.data.size);
        if (c.data.norm != "auto") pipeline.format.norm = normalisation(c.data.norm, {});
        files = open_pictures(c.data.source, pipeline, c.data.classes, c.data.holdout == 0);
        set = files->labelled;
        norm = pipeline.format.norm;
        norm.name = name_of(pipeline.format, c.data.pipeline);
    }
    if (c.data.holdout == 0) {
        train_ids = all_of(set.train.count());
        held_ids = all_of(set.test.count());
        return;
    }
    HoldOut split = hold_out(set.train.labels, set.class_names, c.data.holdout, static_cast<std::uint64_t>(c.run.seed),
                             c.data.holdout_from_train ? HoldOutPolicy::from_train : HoldOutPolicy::separate);
    train_ids = std::move(split.train);
    held_ids = std::move(split.held);
    warning = std::move(split.warning);
    held_in_train = true;
}

int SposPictures::size() const { return files ? set.train.height : square_side(set); }

template <class T>
BatchSource SposPictures::open(const SposConfig& c) {
    const auto seed = static_cast<std::uint64_t>(c.run.seed);
    const BatchOrder order = c.train.order == "epochs" ? BatchOrder::epochs : BatchOrder::replacement;
    if (!files) {
        LoaderOptions o;
        o.seed = seed;
        o.batch_size = c.train.batch;
        o.order = order;
        o.workers = c.run.loader_workers;
        auto loader = std::make_shared<Loader<T>>(set.train, train_ids, set.classes, norm, std::move(o));
        loader_ = loader;
        return source_of(*loader, size());
    }
    PictureLoaderOptions o;
    o.pipeline = pipeline;
    o.seed = seed;
    o.batch_size = c.train.batch;
    o.order = order;
    o.skip_corrupt = c.data.skip_corrupt;
    o.workers = c.run.loader_workers;
    auto loader = std::make_shared<PictureLoader<T>>(files->train, train_ids, std::move(o));
    loader_ = loader;
    corrupt_ = [of = loader.get()] { return of->corrupt(); };
    return source_of(*loader);
}

BatchSource SposPictures::train(const SposConfig& c) {
    return c.train.dtype == "float64" ? open<double>(c) : open<float>(c);
}

std::vector<std::string> SposPictures::corrupt() const { return corrupt_ ? corrupt_() : std::vector<std::string>{}; }

}  // namespace nascent
