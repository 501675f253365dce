#include "nas/algo/chain_sampling.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "engine/base/error.h"

namespace nascent {
namespace {

std::vector<int> checked(std::vector<int> choices) {
    NASCENT_CHECK(!choices.empty(), usage, "paths without blocks");
    for (std::size_t b = 0; b < choices.size(); ++b)
        NASCENT_CHECK(choices[b] >= 1 && choices[b] <= 256, usage, "block {} has {} choices; expected 1..256", b,
                      choices[b]);
    return choices;
}

}  // namespace

UniformPaths::UniformPaths(std::vector<int> choices) : choices_(checked(std::move(choices))) {}

std::vector<int> UniformPaths::path(std::uint64_t seed, std::uint64_t step) const {
    RandomIndex random(seed, RandomStream::path, step);
    std::vector<int> path;
    for (int n : choices_) path.push_back(static_cast<int>(random.below(static_cast<unsigned>(n))));
    return path;
}

FairPaths::FairPaths(std::vector<int> choices) : choices_(checked(std::move(choices))) {}

std::vector<int> FairPaths::path(std::uint64_t seed, std::uint64_t step) const {
    std::vector<int> path, order;
    for (std::size_t b = 0; b < choices_.size(); ++b) {
        const auto n = static_cast<std::uint64_t>(choices_[b]);
        // The numbers of a block's round: its own elements of the step numbered like the round.
        RandomIndex random(seed, RandomStream::path, step / n, static_cast<std::uint32_t>(b) << 16);
        order.resize(n);
        std::iota(order.begin(), order.end(), 0);
        for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
        path.push_back(order[step % n]);
    }
    return path;
}

BucketPaths::BucketPaths(const PathCosts& costs, const Buckets& b)
    : tries_(b.tries),
      all_(std::make_shared<const PathCounts>(costs), CostRange{}),
      blocks_(static_cast<std::size_t>(costs.blocks())) {
    NASCENT_CHECK(b.width > 0 && b.high > b.low, usage, "cost buckets from {} to {}, {} wide; expected low < high",
                  b.low, b.high, b.width);
    NASCENT_CHECK((b.high - b.low) % b.width == 0 && (b.high - b.low) / b.width <= 10'000, usage,
                  "cost buckets of {} do not divide {} to {} into at most 10000", b.width, b.low, b.high);
    NASCENT_CHECK(b.tries >= 0, usage, "{} tries for a bucket; expected 0 or more", b.tries);
    for (std::int64_t low = b.low; low < b.high; low += b.width) {
        ranges_.emplace_back(all_.counts(), CostRange{low, low + b.width});
        if (ranges_.back().count() > 0 || tries_ > 0) continue;
        const auto below = all_.counts()->nearest_below(low), above = all_.counts()->nearest_above(low + b.width);
        fail(ErrorKind::usage, "no architecture costs {}; the nearest that can be reached: {}",
             to_string(ranges_.back().range()),
             below && above ? fmt::format("{} below and {} above", *below, *above)
             : below        ? fmt::format("{} below", *below)
                            : fmt::format("{} above", *above));
    }
}

double BucketPaths::hit(std::size_t i) const {
    return static_cast<double>(ranges_[i].count()) / static_cast<double>(all_.count());
}

double BucketPaths::miss(std::size_t i) const { return tries_ == 0 ? 0 : std::exp(tries_ * std::log1p(-hit(i))); }

std::vector<int> BucketPaths::path(std::uint64_t seed, std::uint64_t step) const {
    RandomIndex random(seed, RandomStream::path, step);
    std::vector<int> path(blocks_);
    const auto i = static_cast<std::size_t>(random.below(ranges_.size()));
    const bool missed = random.uniform() < miss(i);
    (missed ? all_ : ranges_[i]).draw(random, path);
    return path;
}

}  // namespace nascent
