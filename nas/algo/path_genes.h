// Paths through a chain of blocks as evolution sees them, under any constraints.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "nas/algo/constrained_paths.h"
#include "nas/algo/evolution.h"
#include "nas/metric/chain_cost.h"

namespace nascent {

/// A gene a block, the operator's id; where channels are searched as many again, the scales' ids. Each is uniform over
/// what its block may have when drawn and when mutated, operators before scales.
class PathGenes : public GeneSpace {
  public:
    /// How candidates are found under constraints. legal: random ones are drawn from the legal ones alone, exactly
    /// uniformly, in a few microseconds however rare they are; mutations and crossovers are drawn by chance and, where
    /// that finds too few, from the legal ones (legal_between). rejected: any, as SPOS's program draws them with NumPy;
    /// evolution drops illegal ones, and of random ones goes on until it has enough.
    enum class Draws { legal, rejected };

    /// `limits` null: every path is legal. `operators`: of each block, what is left of the space, which nothing else is
    /// drawn from; empty: all. Limits must be over the same. Throws ErrorKind::usage where they are not, and what
    /// chain::choices_of() throws.
    PathGenes(const chain::Space& space, std::shared_ptr<const ConstrainedPaths> limits, Draws draws = Draws::legal,
              const std::vector<std::vector<int>>& operators = {});
    Genes random(NumpyRandom& random) const override;
    Genes mutate(const Genes& parent, double probability, NumpyRandom& random) const override;
    bool legal(const Genes& genes) const override;
    bool draws_legal() const override { return limits_ && draws_ == Draws::legal; }
    std::optional<Genes> legal_between(const Genes& a, const Genes& b, const std::vector<bool>& free,
                                       NumpyRandom& random) const override;
    /// Knows how many there are without limits and where ConstrainedPaths does.
    bool has_more_than(std::size_t candidates) const override;

    chain::Architecture architecture(const Genes& genes) const;
    Genes genes(const chain::Architecture& arch) const;
    /// A choice per block of what is left. Throws ErrorKind::usage for genes that are none of it.
    std::vector<int> path(const Genes& genes) const;
    const chain::Space& space() const { return space_; }

  private:
    int draw(std::size_t gene, NumpyRandom& random) const;
    static std::uint64_t number(NumpyRandom& random);

    chain::Space space_;
    std::vector<std::vector<int>> operators_;  // by block
    chain::Choices choices_;
    std::shared_ptr<const ConstrainedPaths> limits_;
    Draws draws_;
};

}  // namespace nascent
