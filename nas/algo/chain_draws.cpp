#include "nas/algo/chain_draws.h"

#include <utility>

#include "engine/base/error.h"

namespace nascent {

ChainDraws::ChainDraws(OperatorLists operators) : operators_(std::move(operators)) {
    NASCENT_CHECK(!operators_.empty(), usage, "paths without blocks");
    for (std::size_t b = 0; b < operators_.size(); b++)
        NASCENT_CHECK(!operators_[b].empty(), usage, "block {} has no operators to draw from", b);
}

ChainDraws ChainDraws::stream(OperatorLists operators, const NumpyRandom& start) {
    ChainDraws draws(std::move(operators));
    draws.start_ = draws.now_ = start;
    return draws;
}

ChainDraws ChainDraws::reseeded(OperatorLists operators, std::uint32_t seed) {
    ChainDraws draws(std::move(operators));
    draws.seed_ = seed;
    return draws;
}

ChainDraws ChainDraws::counters(OperatorLists operators, std::uint64_t seed) {
    ChainDraws draws(std::move(operators));
    std::vector<int> choices;
    for (const auto& ops : draws.operators_) choices.push_back(static_cast<int>(ops.size()));
    draws.uniform_.emplace(std::move(choices));
    draws.seed_ = seed;
    return draws;
}

std::vector<int> ChainDraws::path(std::int64_t step) {
    std::vector<int> ops;
    if (uniform_) {
        const std::vector<int> places = uniform_->path(seed_, static_cast<std::uint64_t>(step));
        for (std::size_t b = 0; b < places.size(); b++)
            ops.push_back(operators_[b][static_cast<std::size_t>(places[b])]);
        return ops;
    }
    auto draw = [&](const std::vector<int>& from, NumpyRandom& random) {
        return from[static_cast<std::size_t>(random.below(static_cast<int>(from.size())))];
    };
    if (!now_) {
        std::uint64_t seed = seed_ + static_cast<std::uint64_t>(step) * operators_.size();
        for (const auto& from : operators_) {
            NumpyRandom random(static_cast<std::uint32_t>(seed++));
            ops.push_back(draw(from, random));
        }
        return ops;
    }
    if (step < next_) now_ = start_, next_ = 0;
    for (; next_ <= step; next_++) {
        ops.clear();
        for (const auto& from : operators_) ops.push_back(draw(from, *now_));
    }
    return ops;
}

}  // namespace nascent
