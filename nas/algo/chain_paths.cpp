#include "nas/algo/chain_paths.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace nascent {
namespace {

/// All choices of a space whose scales are at least `lowest`.
chain::Choices choices_from(const chain::Space& space, int lowest) {
    chain::Choices all = chain::all_choices(space);
    if (space.channels)
        for (std::vector<chain::Choice>& block : all)
            std::erase_if(block, [&](const chain::Choice& c) { return c.scale < lowest; });
    return all;
}

using Draw = std::function<chain::Architecture(std::int64_t)>;

Draw draw_from(const chain::Space& space, const chain::Choices& choices, const ChainSampling& s) {
    auto drawn = [space, choices, seed = s.seed](const auto& paths) -> Draw {
        return [=](std::int64_t step) {
            return chain::architecture_of(space, choices, paths->path(seed, static_cast<std::uint64_t>(step)));
        };
    };
    std::vector<int> counts;
    for (const auto& block : choices) counts.push_back(static_cast<int>(block.size()));
    switch (s.law) {
        case ChainSampling::Law::buckets: {
            const PathCosts costs = path_costs(space, choices, s.convention);
            // Tries that are all in vain would be a run of another law than asked for: the first says where none fits.
            Buckets strict = s.buckets;
            strict.tries = 0;
            (void)BucketPaths(costs, strict);
            return drawn(std::make_shared<const BucketPaths>(costs, s.buckets));
        }
        case ChainSampling::Law::fair:
            return drawn(std::make_shared<const FairPaths>(std::move(counts)));
        case ChainSampling::Law::uniform:
            break;
    }
    return drawn(std::make_shared<const UniformPaths>(std::move(counts)));
}

}  // namespace

int lowest_scale(const chain::Space& space, const ChainSampling& s, std::int64_t step) {
    const int first = space.config.first_scale, last = space.config.last_scale;
    if (!space.channels) return chain::kUnscaled;
    if (step < s.widen_from) return last;
    if (s.widen_steps == 0) return first;
    const std::int64_t more = (step - s.widen_from) / s.widen_steps + 1;
    return static_cast<int>(std::max<std::int64_t>(first, last - more));
}

ChainPaths chain_paths(const chain::Space& space, const ChainSampling& s) {
    NASCENT_CHECK(s.widen_from >= 0 && s.widen_steps >= 0, usage, "scales widen from step {}, one every {}",
                  s.widen_from, s.widen_steps);
    // One way to draw for each lower end that comes.
    const int lowest = space.channels ? space.config.first_scale : chain::kUnscaled;
    const int highest = space.channels ? lowest_scale(space, s, 0) : chain::kUnscaled;
    std::vector<Draw> by_scale;
    for (int scale = lowest; scale <= highest; scale++)
        by_scale.push_back(draw_from(space, choices_from(space, scale), s));
    return [=](std::int64_t step) {
        return by_scale[static_cast<std::size_t>(lowest_scale(space, s, step) - lowest)](step);
    };
}

}  // namespace nascent
