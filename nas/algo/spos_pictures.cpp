#include "nas/algo/spos_pictures.h"

#include <numeric>

#include "nas/data/holdout.h"

namespace nascent {
namespace {

std::vector<std::uint32_t> all_of(std::size_t count) {
    std::vector<std::uint32_t> ids(count);
    std::iota(ids.begin(), ids.end(), 0u);
    return ids;
}

}  // namespace

SposPictures::SposPictures(const SposConfig& c) : RunPictures(c.data, c.run, c.data.holdout == 0) {
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

BatchSource SposPictures::train(const SposConfig& c) {
    LoaderOptions o;
    o.seed = static_cast<std::uint64_t>(c.run.seed);
    o.batch_size = c.train.batch;
    o.order = c.train.order == "epochs" ? BatchOrder::epochs : BatchOrder::replacement;
    o.workers = c.run.loader_workers;
    return open(c.train.dtype == "float64" ? DType::f64 : DType::f32, Split::train, train_ids, o);
}

}  // namespace nascent
