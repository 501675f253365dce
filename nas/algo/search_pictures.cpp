#include "nas/algo/search_pictures.h"

namespace nascent {
namespace {

LoaderOptions options_of(const SearchConfig& c, std::uint64_t salt) {
    LoaderOptions o;
    o.seed = static_cast<std::uint64_t>(c.run.seed) ^ salt;
    o.batch_size = c.train.batch;
    o.workers = c.run.loader_workers;
    return o;
}

}  // namespace

Pictured::Pictured(const SearchConfig& c) : RunPictures(c.data, c.run), halves(halves_of(c, set)) {}

BatchSource Pictured::source(const SearchConfig& c, Half half, const LoaderOptions& o) {
    const bool valid = half == Half::valid;
    return open(c.train.dtype == "float64" ? DType::f64 : DType::f32,
                valid && halves.held_out ? Split::test : Split::train, valid ? halves.valid : halves.train, o);
}

BatchSource Pictured::train(const SearchConfig& c) { return source(c, Half::train, options_of(c, 0)); }

BatchSource Pictured::alpha(const SearchConfig& c) {
    LoaderOptions o = options_of(c, alpha_seed);
    if (c.arch.batches == "fresh") o.order = BatchOrder::first_of_shuffle;
    if (c.arch.batches == "pairs") o.order = BatchOrder::replacement, o.epoch_pictures = halves.train.size();
    return source(c, Half::valid, o);
}

BatchSource Pictured::valid(const SearchConfig& c) {
    LoaderOptions o = options_of(c, valid_seed);
    o.augment = c.valid.augment;
    if (c.valid.batch > 0) o.batch_size = c.valid.batch;
    return source(c, Half::valid, o);
}

}  // namespace nascent
