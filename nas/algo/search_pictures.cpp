#include "nas/algo/search_pictures.h"

#include <fmt/format.h>

#include <set>

#include "nas/data/picture_loader.h"

namespace nascent {
namespace {

LoaderOptions options_of(const SearchConfig& c, std::uint64_t salt) {
    LoaderOptions o;
    o.seed = static_cast<std::uint64_t>(c.run.seed) ^ salt;
    o.batch_size = c.train.batch;
    o.workers = c.run.loader_workers;
    return o;
}

/// What the network is given, in words.
std::string name_of(const PixelFormat& format, const std::string& pipeline) {
    std::string scale = format.norm.name;
    if (format.scale == PixelFormat::Scale::bytes) scale = "0..255";
    if (format.scale == PixelFormat::Scale::unit) scale = "0..1";
    return fmt::format("{}, pipeline {}", scale, pipeline);
}

}  // namespace

std::int64_t iterator_step(std::int64_t step, std::int64_t steps, std::int64_t own) {
    const std::int64_t shuffles = (steps + own - 1) / own;  // in one of the weights' epochs
    return step / steps * shuffles * own + step % steps;
}

Pictured::Pictured(const SearchConfig& c) {
    if (c.data.pipeline == "none") {
        set = load_pictures(c.data, c.run);
        norm = normalisation(c.data.norm, set);
    } else {
        Scope scope("--data {}", c.data.source);
        pipeline_ = at_size(picture_pipeline(c.data.pipeline), c.data.size);
        if (c.data.norm != "auto") pipeline_.format.norm = normalisation(c.data.norm, {});
        files_ = open_pictures(c.data.source, pipeline_, c.data.classes);
        set = files_->labelled;
        norm = pipeline_.format.norm;
        norm.name = name_of(pipeline_.format, c.data.pipeline);
    }
    halves = halves_of(c, set);
}

template <class T>
BatchSource Pictured::open(const SearchConfig& c, Half half, const LoaderOptions& o) {
    const bool held_out = half == Half::valid && halves.held_out;
    const std::vector<std::uint32_t>& ids = half == Half::valid ? halves.valid : halves.train;
    if (!files_) {
        auto loader = std::make_shared<Loader<T>>(held_out ? set.test : set.train, ids, set.classes, norm, o);
        loaders_.push_back(loader);
        return source_of(*loader, square_side(set));
    }
    PictureLoaderOptions p;
    p.pipeline = pipeline_;
    p.train = o.augment;
    p.seed = o.seed;
    p.batch_size = o.batch_size;
    p.order = o.order;
    p.epoch_pictures = o.epoch_pictures;
    p.skip_corrupt = c.data.skip_corrupt;
    p.workers = o.workers;
    auto loader = std::make_shared<PictureLoader<T>>(held_out ? files_->test : files_->train, ids, std::move(p));
    loaders_.push_back(loader);
    corrupt_of_.push_back([held_out, of = loader.get()] {
        std::vector<std::string> names = of->corrupt();
        for (std::string& name : names) name = (held_out ? "val/" : "train/") + name;
        return names;
    });
    return source_of(*loader);
}

BatchSource Pictured::source(const SearchConfig& c, Half half, const LoaderOptions& o) {
    return c.train.dtype == "float64" ? open<double>(c, half, o) : open<float>(c, half, o);
}

BatchSource Pictured::train(const SearchConfig& c) { return source(c, Half::train, options_of(c, 0)); }

BatchSource Pictured::alpha(const SearchConfig& c) {
    LoaderOptions o = options_of(c, alpha_seed);
    if (c.arch.batches == "fresh") o.order = BatchOrder::first_of_shuffle;
    if (c.arch.batches == "pairs") o.order = BatchOrder::replacement, o.epoch_pictures = halves.train.size();
    BatchSource alpha = source(c, Half::valid, o);
    if (c.arch.batches == "iterator") {
        const std::int64_t batch = c.train.batch, pictures = static_cast<std::int64_t>(halves.train.size());
        alpha.batch = [next = alpha.batch, steps = (pictures + batch - 1) / batch,
                       own = alpha.steps_per_epoch](std::int64_t step) { return next(iterator_step(step, steps, own)); };
    }
    return alpha;
}

BatchSource Pictured::valid(const SearchConfig& c) {
    LoaderOptions o = options_of(c, valid_seed);
    o.augment = c.valid.augment;
    if (c.valid.batch > 0) o.batch_size = c.valid.batch;
    return source(c, Half::valid, o);
}

std::vector<std::string> Pictured::corrupt() const {
    std::set<std::string> all;
    for (const auto& names : corrupt_of_)
        for (std::string& name : names()) all.insert(std::move(name));
    return {all.begin(), all.end()};
}

}  // namespace nascent
