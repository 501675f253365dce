#include "nas/algo/path_genes.h"

#include <utility>

#include "engine/base/error.h"

namespace nascent {

PathGenes::PathGenes(const chain::Space& space, std::shared_ptr<const ConstrainedPaths> limits, Draws draws,
                     const std::vector<std::vector<int>>& operators)
    : space_(space),
      operators_(operators.empty() ? chain::all_operators(space) : operators),
      choices_(chain::choices_of(space, operators_)),
      limits_(std::move(limits)),
      draws_(draws) {
    if (!limits_) return;
    NASCENT_CHECK(limits_->blocks() == static_cast<int>(choices_.size()), usage,
                  "constraints of {} blocks for the space {} of {}", limits_->blocks(), space.name, choices_.size());
    for (int b = 0; b < limits_->blocks(); b++) {
        const std::size_t here = choices_[static_cast<std::size_t>(b)].size();
        NASCENT_CHECK(limits_->choices(b) == here, usage, "constraints on {} choices of block {}, which has {}",
                      limits_->choices(b), b, here);
    }
}

int PathGenes::draw(std::size_t gene, NumpyRandom& random) const {
    const std::size_t blocks = choices_.size();
    if (gene >= blocks)
        return static_cast<int>(random.randint(space_.config.first_scale, space_.config.last_scale + 1));
    const std::vector<int>& ops = operators_[gene];
    return ops[static_cast<std::size_t>(random.below(static_cast<int>(ops.size())))];
}

std::uint64_t PathGenes::number(NumpyRandom& random) {
    const auto word = [&] { return static_cast<std::uint64_t>(random.randint(0, std::int64_t{1} << 32)); };
    const std::uint64_t high = word();
    return high << 32 | word();
}

Genes PathGenes::random(NumpyRandom& random) const {
    if (limits_ && draws_ == Draws::legal) {
        return genes(chain::architecture_of(space_, choices_, limits_->draw(0, RandomStream::search, number(random))));
    }
    Genes genes(space_.channels ? 2 * choices_.size() : choices_.size());
    for (std::size_t i = 0; i < genes.size(); i++) genes[i] = draw(i, random);
    return genes;
}

Genes PathGenes::mutate(const Genes& parent, double probability, NumpyRandom& random) const {
    Genes genes = parent;
    for (std::size_t i = 0; i < genes.size(); i++)
        if (random.random_sample() < probability) genes[i] = draw(i, random);
    return genes;
}

bool PathGenes::legal(const Genes& genes) const { return !limits_ || limits_->legal(path(genes)); }

std::optional<Genes> PathGenes::legal_between(const Genes& a, const Genes& b, const std::vector<bool>& free,
                                              NumpyRandom& random) const {
    if (!draws_legal()) return std::nullopt;
    const std::size_t blocks = choices_.size();
    std::vector<std::vector<int>> allowed(blocks);
    const auto fits = [&](std::size_t gene, int value) { return free[gene] || value == a[gene] || value == b[gene]; };
    for (std::size_t i = 0; i < blocks; i++)
        for (std::size_t c = 0; c < choices_[i].size(); c++) {
            const chain::Choice& choice = choices_[i][c];
            if (fits(i, choice.op) && (!space_.channels || fits(blocks + i, choice.scale)))
                allowed[i].push_back(static_cast<int>(c));
        }
    const auto path = limits_->draw_within(allowed, 0, RandomStream::search, number(random));
    if (!path) return std::nullopt;
    return genes(chain::architecture_of(space_, choices_, *path));
}

bool PathGenes::has_more_than(std::size_t candidates) const {
    if (limits_) {
        const std::optional<PathCount> all = limits_->count();
        return !all || *all > candidates;
    }
    double all = 1;
    for (const auto& block : choices_) all *= static_cast<double>(block.size());
    return all > static_cast<double>(candidates);
}

chain::Architecture PathGenes::architecture(const Genes& genes) const {
    const std::size_t blocks = choices_.size();
    NASCENT_CHECK(genes.size() == (space_.channels ? 2 * blocks : blocks), usage,
                  "{} genes; the space {} has {} blocks", genes.size(), space_.name, blocks);
    const auto middle = genes.begin() + static_cast<std::ptrdiff_t>(blocks);
    return {{genes.begin(), middle}, {middle, genes.end()}};
}

Genes PathGenes::genes(const chain::Architecture& arch) const {
    Genes genes = arch.ops;
    if (!space_.channels) return genes;
    if (arch.scales.empty())
        genes.insert(genes.end(), arch.ops.size(), chain::kUnscaled);
    else
        genes.insert(genes.end(), arch.scales.begin(), arch.scales.end());
    return genes;
}

std::vector<int> PathGenes::path(const Genes& genes) const {
    return chain::path_of(space_, choices_, architecture(genes));
}

}  // namespace nascent
