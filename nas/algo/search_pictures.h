// The pictures of a search by gradients: two halves, and the batches of each.
#pragma once
#include <memory>
#include <vector>

#include "nas/algo/search_config.h"

namespace nascent {

// Seeds of the loaders that must not draw as the weights' does.
inline constexpr std::uint64_t alpha_seed = 0x9E3779B97F4A7C15, valid_seed = 0xC2B2AE3D27D4EB4F;

/// Loaders of the network's type, and what they stand on.
struct Pictured {
    explicit Pictured(const SearchConfig& c)
        : set(load_pictures(c.data, c.run)), halves(halves_of(c, set)), norm(normalisation(c.data.norm, set)) {}
    template <class T>
    BatchSource open(const Pictures& of, const std::vector<std::uint32_t>& ids, const LoaderOptions& o) {
        auto loader = std::make_shared<Loader<T>>(of, ids, set.classes, norm, o);
        loaders.push_back(loader);
        return source_of(*loader, square_side(set));
    }
    BatchSource source(const SearchConfig& c, const std::vector<std::uint32_t>& ids, const LoaderOptions& o) {
        const Pictures& of = halves.held_out && &ids == &halves.valid ? set.test : set.train;
        return c.train.dtype == "float64" ? open<double>(of, ids, o) : open<float>(of, ids, o);
    }
    static LoaderOptions options(const SearchConfig& c, std::uint64_t salt) {
        LoaderOptions o;
        o.seed = static_cast<std::uint64_t>(c.run.seed) ^ salt;
        o.batch_size = c.train.batch;
        o.workers = c.run.loader_workers;
        return o;
    }
    BatchSource train(const SearchConfig& c) { return source(c, halves.train, options(c, 0)); }
    BatchSource alpha(const SearchConfig& c) {
        LoaderOptions o = options(c, alpha_seed);
        if (c.arch.batches == "fresh") o.order = BatchOrder::first_of_shuffle;
        if (c.arch.batches == "pairs") o.order = BatchOrder::replacement, o.epoch_pictures = halves.train.size();
        return source(c, halves.valid, o);
    }
    BatchSource valid(const SearchConfig& c) {
        LoaderOptions o = options(c, valid_seed);
        o.augment = c.valid.augment;
        if (c.valid.batch > 0) o.batch_size = c.valid.batch;
        return source(c, halves.valid, o);
    }
    Dataset set;
    Halves halves;
    Normalisation norm;
    std::vector<std::shared_ptr<void>> loaders;
};

}  // namespace nascent
