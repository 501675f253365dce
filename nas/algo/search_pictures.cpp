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

std::int64_t iterator_step(std::int64_t step, std::int64_t steps, std::int64_t own) {
    const std::int64_t shuffles = (steps + own - 1) / own;  // in one of the weights' epochs
    return step / steps * shuffles * own + step % steps;
}

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
    BatchSource alpha = source(c, Half::valid, o);
    if (c.arch.batches == "iterator") {
        const std::int64_t batch = c.train.batch, pictures = static_cast<std::int64_t>(halves.train.size());
        const std::int64_t steps = (pictures + batch - 1) / batch, own = alpha.steps_per_epoch;
        alpha.batch = [next = alpha.batch, steps, own](std::int64_t step) {
            return next(iterator_step(step, steps, own));
        };
        if (alpha.draws)
            alpha.draws = [next = alpha.draws, steps, own](std::int64_t step, BatchDraws& d) {
                next(iterator_step(step, steps, own), d);
            };
    }
    return alpha;
}

BatchSource Pictured::valid(const SearchConfig& c) {
    LoaderOptions o = options_of(c, valid_seed);
    o.augment = c.valid.augment;
    if (c.valid.batch > 0) o.batch_size = c.valid.batch;
    return source(c, Half::valid, o);
}

}  // namespace nascent
