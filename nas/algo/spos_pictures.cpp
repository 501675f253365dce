#include "nas/algo/spos_pictures.h"

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

}  // namespace

SposPictures::SposPictures(const SposConfig& c) : OpenedPictures(open_pictures(c.data, c.run, c.data.holdout == 0)) {
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
