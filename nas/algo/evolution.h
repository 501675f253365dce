// The evolutionary search of RLNAS (CVPR 2021) and of the single-path searches it descends from: score, keep the best,
// breed. One call of step() is one generation, and its whole state between generations is a plain struct.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "engine/base/mt19937.h"
#include "nas/space/nasbench201.h"

namespace nascent {

/// One candidate: an operator number per gene.
using Genes = std::vector<int>;

/// How candidates come about. The order of draws is the implementer's promise: replays of published searches depend on
/// it.
class GeneSpace {
  public:
    virtual ~GeneSpace() = default;
    virtual Genes random(NumpyRandom& random) const = 0;
    /// Takes over `parent`, each mutable gene redrawn with probability `probability`.
    virtual Genes mutate(const Genes& parent, double probability, NumpyRandom& random) const = 0;
    /// Picks each gene from one of the two.
    virtual Genes crossover(const Genes& a, const Genes& b, NumpyRandom& random) const;
};

/// Six genes of 0..4. Random genes are uniform; a mutated gene is uniform in 1..4, never `none`.
class Nb201Genes : public GeneSpace {
  public:
    Genes random(NumpyRandom& random) const override;
    Genes mutate(const Genes& parent, double probability, NumpyRandom& random) const override;
};
Genes to_genes(const nb201::Architecture& arch);
/// Throws ErrorKind::data unless there are six of 0..4.
nb201::Architecture to_architecture(const Genes& genes);

/// The defaults are RLNAS on NAS-Bench-201.
struct EvolutionConfig {
    int population = 100;
    int select = 30;  // parents kept
    int top = 50;     // the second list, for reports
    int mutation = 50;
    int crossover = 50;
    double mutation_probability = 0.1;
    int generations = 20;
    int batch = 10;  // candidates are drawn in batches; what a full list leaves of one is thrown away
    /// Draws in a row that bring nothing new before mutation or random filling gives up. The original never gives up:
    /// where it would end, so does this, with the same draws, unless it drew longer than this in vain.
    std::int64_t patience = 10'000'000;
};

/// Everything between two generations; numbers into `visited` stand for candidates.
struct EvolutionState {
    enum class Origin { random, mutation, crossover };
    struct Candidate {
        Genes genes;
        Origin origin = Origin::random;
        int generation = 0;        // the one it is (or will be) scored in
        std::vector<int> parents;  // none, one or two
        bool scored = false;
        double score = 0;  // NaN ranks last
    };
    Mt19937State random;
    int generation = 0;              // generations scored so far
    std::vector<Candidate> visited;  // every candidate ever, in order of appearance
    std::vector<int> candidates;     // to be scored next
    std::vector<int> parents;        // the best `select`, best first, earlier first among equals
    std::vector<int> top;            // the best `top`
    bool operator==(const EvolutionState&) const;
};

/// Scores of a whole generation, bigger is better, in the order given.
using ScoreFunction = std::function<std::vector<double>(const std::vector<Genes>&)>;

class Evolution {
  public:
    /// `space` must outlive the search. Draws the first population, going on with `random` (after the label draw where
    /// a published search is replayed). Throws ErrorKind::usage for a configuration that makes no sense.
    Evolution(const GeneSpace& space, const EvolutionConfig& config, const NumpyRandom& random);
    /// Goes on from a saved state, to the same bits. Throws ErrorKind::data for one that is not of this search.
    Evolution(const GeneSpace& space, const EvolutionConfig& config, EvolutionState state);

    /// True after the last generation, or when the space is so small that no new candidate was found.
    bool done() const;
    /// Scores the candidates, updates both lists, breeds the next population: mutations, crossovers, random ones for
    /// what is missing. Like the original it breeds after the last generation too. Throws ErrorKind::usage when done.
    void step(const ScoreFunction& score);
    /// The best so far; throws ErrorKind::usage before the first step.
    const EvolutionState::Candidate& best() const;
    const EvolutionState& state() const { return state_; }

  private:
    struct Bred {
        Genes genes;
        std::vector<int> parents;
    };
    void add_random(int wanted);
    void breed(EvolutionState::Origin origin, int wanted, std::int64_t batches, const std::function<Bred()>& make);
    void keep_best(std::vector<int>& list, int size) const;
    int draw_parent();
    void check() const;

    const GeneSpace& space_;
    EvolutionConfig config_;
    NumpyRandom random_;
    EvolutionState state_;
    std::map<Genes, int> known_;  // genes -> place in visited
};

/// The random state the NAS-Bench-201 search of RLNAS starts from: seeded, then one label drawn for each of its samples
/// (50 000 of 10 or 100 classes, 151 700 of 120). Throws ErrorKind::usage for another number of classes.
NumpyRandom rlnas_nb201_search_random(std::uint32_t seed, int classes);

}  // namespace nascent
