// The DARTS space and chains of blocks as evolution sees them, and the published settings of RLNAS's four searches.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "nas/algo/darts_paths.h"
#include "nas/algo/evolution.h"
#include "nas/metric/chain_angle.h"
#include "nas/metric/darts_code_cost.h"

namespace nascent {

/// 28 genes: the normal, then the reduction cell. Random genes are uniform over an edge's operators; candidates are
/// repaired to two inputs for each node, the normal cell first.
class DartsGenes : public GeneSpace {
  public:
    struct Rules {
        bool mutate_reduction = false;  // as published only the 14 genes of the normal cell mutate
        bool mutate_to_none = true;     // CIFAR-10; on ImageNet a mutated gene never becomes an edge's first operator
        std::int64_t max_cost = -1;     // -1: none
    };
    static Rules cifar10() { return {}; }
    static Rules imagenet() { return {.mutate_to_none = false, .max_cost = 600'000'000}; }
    /// `costs` is read only with a limit. Throws ErrorKind::usage for a limit below what all candidates cost, and as
    /// darts::check_operators() does.
    DartsGenes(const Rules& rules, const darts::CodeCosts& costs,
               darts::EdgeOperators operators = darts::all_operators());
    Genes random(NumpyRandom& random) const override;
    Genes mutate(const Genes& parent, double probability, NumpyRandom& random) const override;
    Genes repair(const Genes& drawn, NumpyRandom& random) const override;
    bool legal(const Genes& genes) const override;

  private:
    Rules rules_;
    darts::CodeCosts costs_;
    darts::EdgeOperators operators_;
};

/// One gene a block, each uniform over the block's operators when drawn and when mutated.
class ChainGenes : public GeneSpace {
  public:
    /// `table` must outlive this. max_cost -1: no limit. Throws ErrorKind::usage for a limit below the cheapest chain.
    ChainGenes(const ChainTable& table, std::int64_t max_cost);
    Genes random(NumpyRandom& random) const override;
    Genes mutate(const Genes& parent, double probability, NumpyRandom& random) const override;
    bool legal(const Genes& genes) const override;

  private:
    int draw(std::size_t block, NumpyRandom& random) const;
    const ChainTable& table_;
    std::int64_t max_cost_;
};

/// RLNAS on DARTS: population 50, 10 parents, 25 mutations and 25 crossovers, 20 generations.
EvolutionConfig darts_evolution();
/// RLNAS on MobileNet: the same, crossovers first, 1000 tries for each candidate wanted.
EvolutionConfig mobilenet_evolution();

}  // namespace nascent
