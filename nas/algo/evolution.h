// The evolutionary search of RLNAS (CVPR 2021) and of the single-path searches it descends from: score, keep the best,
// breed. One call of step() is one generation, and its whole state between generations is a plain struct.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
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
    /// Makes a valid candidate of a drawn one. Called when the candidate is taken from its batch, after the whole batch
    /// was drawn.
    virtual Genes repair(const Genes& drawn, NumpyRandom&) const { return drawn; }
    /// False where the candidate breaks a limit; it is dropped then.
    virtual bool legal(const Genes&) const { return true; }
    /// Whether legal candidates can be drawn as such, so that breeding need not give up where they are rare.
    virtual bool draws_legal() const { return false; }
    /// One of them, uniformly among those whose every gene is that of `a` or of `b`, or any where `free` says so;
    /// nothing where there is none.
    virtual std::optional<Genes> legal_between(const Genes& /*a*/, const Genes& /*b*/,
                                               const std::vector<bool>& /*free*/, NumpyRandom&) const {
        return std::nullopt;
    }
    /// False where so many different legal candidates are known to be all.
    virtual bool has_more_than(std::size_t /*candidates*/) const { return true; }
};

/// Six genes of 0..4. Random genes are uniform; a mutated gene is uniform in 1..4, never `none`. In a smaller space
/// both are uniform over an edge's operators; where only `none` is left, it stays.
class Nb201Genes : public GeneSpace {
  public:
    Nb201Genes();
    /// Of each edge the operators, rising.
    explicit Nb201Genes(std::vector<std::vector<int>> operators) : operators_(std::move(operators)) {}
    Genes random(NumpyRandom& random) const override;
    Genes mutate(const Genes& parent, double probability, NumpyRandom& random) const override;

  private:
    std::vector<std::vector<int>> operators_;
};
Genes to_genes(const nb201::Architecture& arch);
/// Throws ErrorKind::data unless there are six of 0..4.
nb201::Architecture to_architecture(const Genes& genes);

/// The defaults are RLNAS on NAS-Bench-201; nas/algo/gene_spaces.h has the other columns of its searches.
struct EvolutionConfig {
    /// When a candidate that was there before is dropped: as drawn and again after its repair (drawn ones that were
    /// repaired to others count as having been there), or only as a scored or waiting candidate after its repair.
    enum class Duplicates { drawn, repaired };
    enum class First { mutation, crossover };  // which is bred first; mutations come first among the candidates
    int population = 100;
    int select = 30;  // parents kept
    int top = 50;     // the second list, for reports
    int mutation = 50;
    int crossover = 50;
    double mutation_probability = 0.1;
    int generations = 20;
    int batch = 10;  // candidates are drawn in batches; what a full list leaves of one is thrown away
    Duplicates duplicates = Duplicates::drawn;
    /// With crossovers first, mutations fill the population up to its size, whatever `mutation` says.
    First first = First::mutation;
    /// Candidates taken, for each that is wanted, before random filling, mutation and crossover give up; 0: crossover
    /// gives up after crossover + 1 batches, the others by `patience` alone.
    std::int64_t tries = 0;
    bool random_gives_up = true;  // false: `tries` is not for random filling, as in SPOS's program
    /// Draws in a row that bring nothing new before mutation or random filling gives up. The original never gives up:
    /// where it would end, so does this, with the same draws, unless it drew longer than this in vain. What was drawn
    /// is remembered, some 200 bytes each.
    std::int64_t patience = 1'000'000;
    /// Called for each batch that is drawn and, by who scores, between candidates; may throw to stop: the object is
    /// then of no more use, the state before the generation is.
    std::function<void()> poll = [] {};
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
    std::vector<Genes> dropped;      // known without being candidates: drawn ones before repair, illegal ones
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
    /// Scores the candidates, updates both lists, breeds the next population: mutations, crossovers (in either order;
    /// of both, what tries did not find is drawn legal where the space can), random ones for what is missing. Like the
    /// original it breeds after the last generation too. Throws ErrorKind::usage when done.
    void step(const ScoreFunction& score);
    /// The best so far; throws ErrorKind::usage before the first step.
    const EvolutionState::Candidate& best() const;
    const EvolutionState& state() const { return state_; }

  private:
    friend Evolution run_evolution(const GeneSpace&, EvolutionConfig, const NumpyRandom&,
                                   const std::optional<EvolutionState>&, const std::function<double(const Genes&)>&,
                                   const std::function<void(const EvolutionState&)>&, const std::function<bool()>&);
    struct Bred {
        Genes genes;
        std::vector<int> parents;
    };
    void add_random();
    /// At most so many batches are drawn and so many candidates taken from them.
    struct Budget {
        std::int64_t batches, tries;
    };
    Budget budget(int wanted) const;
    /// Returns the new candidates.
    std::vector<int> breed(EvolutionState::Origin origin, int wanted, const Budget& budget,
                           const std::function<Bred()>& make);
    /// The same without tries, where the space draws legal candidates: genes are freed one after the other until one
    /// turns up that is new, in at most as many draws as there are genes and one more.
    std::vector<int> breed_legal(EvolutionState::Origin origin, int wanted, int parents, double probability);
    /// The candidate's number, -1 where it is dropped.
    int take(Bred bred, EvolutionState::Origin origin);
    void remember();
    void keep_best(std::vector<int>& list, int size) const;
    int draw_parent();
    void check() const;

    const GeneSpace& space_;
    EvolutionConfig config_;
    NumpyRandom random_;
    EvolutionState state_;
    std::map<Genes, int> known_;  // genes -> place in visited, -1 for dropped ones
};

/// An evolution to its end, from `random` or from `state`. `each` is called after every generation and may throw to
/// stop. `stop` is asked often, within generations too; where it says true, `each` gets the state after the last whole
/// generation, if there is one, and Error(interrupted) is thrown where it does not throw.
Evolution run_evolution(const GeneSpace& space, EvolutionConfig config, const NumpyRandom& random,
                        const std::optional<EvolutionState>& state, const std::function<double(const Genes&)>& score,
                        const std::function<void(const EvolutionState&)>& each, const std::function<bool()>& stop);

/// The random state the NAS-Bench-201 search of RLNAS starts from: seeded, then one label drawn for each of its samples
/// (50 000 of 10 or 100 classes, 151 700 of 120). Throws ErrorKind::usage for another number of classes.
NumpyRandom rlnas_nb201_search_random(std::uint32_t seed, int classes);

}  // namespace nascent
