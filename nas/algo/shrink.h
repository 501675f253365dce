// Angle-based shrinking of search spaces (AngleNAS, ECCV 2020): operators are scored by the mean angle of architectures
// that have them, the lowest are dropped, the supernet is trained on, until the space is small. Generic over spaces
// whose architectures choose one operator in each of a number of layers (blocks, or edges of a cell).
#pragma once
#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/mt19937.h"
#include "nas/algo/evolution.h"
#include "nas/metric/chain_angle.h"

namespace nascent {

/// Operators left in each layer, in the order they are drawn from (an identity, -1, is the last).
using OperatorLists = std::vector<std::vector<int>>;

/// Architectures the lists allow; counts above 2^53 are rounded.
double space_size(const OperatorLists& operators);

struct LayerOperator {
    int layer = 0, op = 0;
    auto operator<=>(const LayerOperator&) const = default;
};
/// All operators of layers that have more than one, layer by layer.
std::vector<LayerOperator> droppable(const OperatorLists& operators);

struct OperatorScore {
    LayerOperator which;
    double score = 0;  // 0 where no architecture had it, as published
    int count = 0;     // architectures it is the mean of
};

/// Which operators go.
struct DropRule {
    enum class Kind {
        lowest,         // the `count` lowest of all, each only while a higher one of its layer is left
        one_per_layer,  // the lowest of each layer that has more than one
    };
    Kind kind = Kind::lowest;
    int count = 7;
    bool operator==(const DropRule&) const = default;
};
/// Drops operators and returns them in the order they went. Of equal scores the earlier in `scores` counts as lower.
/// Throws ErrorKind::usage for an operator that is not in its list and for a score that is NaN.
std::vector<LayerOperator> drop_operators(OperatorLists& operators, std::vector<OperatorScore> scores,
                                          const DropRule& rule);

/// Draws architectures that have a certain operator.
class OperatorSampler {
  public:
    virtual ~OperatorSampler() = default;
    virtual Genes draw(const OperatorLists& operators, LayerOperator forced, NumpyRandom& random) const = 0;
    virtual bool legal(const Genes&) const { return true; }
};

/// SPOS and ProxylessNAS: operators other than the identity uniformly, then a uniform number of identities on layers
/// that allow one, never on the operator's own. `table` gives costs; max_cost -1: no limit.
class SposSampler : public OperatorSampler {
  public:
    SposSampler(const ChainTable& table, std::int64_t max_cost) : table_(table), max_cost_(max_cost) {}
    Genes draw(const OperatorLists& operators, LayerOperator forced, NumpyRandom& random) const override;
    bool legal(const Genes& genes) const override;

  private:
    const ChainTable& table_;
    std::int64_t max_cost_;
};

/// FairNAS: uniform in every layer.
class UniformSampler : public OperatorSampler {
  public:
    UniformSampler(const ChainTable& table, std::int64_t max_cost) : table_(table), max_cost_(max_cost) {}
    Genes draw(const OperatorLists& operators, LayerOperator forced, NumpyRandom& random) const override;
    bool legal(const Genes& genes) const override;

  private:
    const ChainTable& table_;
    std::int64_t max_cost_;
};

/// DARTS and P-DARTS: one cell for normal and reduction cells, uniform on every edge, repaired to two inputs a node;
/// then the operator is written over it, which may give its node another number of inputs. 14 genes.
class DartsCellSampler : public OperatorSampler {
  public:
    Genes draw(const OperatorLists& operators, LayerOperator forced, NumpyRandom& random) const override;
};

/// Scores of droppable(): the mean score of the first `samples` architectures that have the operator. Operator by
/// operator, as many architectures with it are drawn as its pool lacks, each new and legal one (at most 100 draws for
/// each that is missing), and shared by the pools of all operators they have; then all are scored in the order they
/// were drawn. `scores_of` may be called once.
std::vector<OperatorScore> score_operators(const OperatorLists& operators, const OperatorSampler& sampler,
                                           const ScoreFunction& scores_of, int samples, NumpyRandom& random);

/// When what is trained and dropped.
struct ShrinkSchedule {
    enum class Base { initial, after_warm_up };
    DropRule rule;
    int first_epochs = 100, other_epochs = 5;  // of training before the first and the other drops
    int max_stages = 20;
    double stop_at = 1e6;  // the space is small enough; looked at before each stage
    int samples = 1000;
    std::int64_t max_cost = -1;
    Base base = Base::initial;  // the weights angles are measured from
    /// Base weights are replaced once by the current ones, after the first stage at whose end (stages done) x
    /// drops_per_stage is above this; -1: never. The published count is of the rule, not of what was dropped.
    int replace_base_above = 50;
    int drops_per_stage = 7;
    int warm_up_cells = 0, warm_up_epochs = 0;  // DARTS: a cell inserted, then so many epochs, so often
    bool operator==(const ShrinkSchedule&) const = default;
};
/// `spos | fairnas | darts | nasbench201`; throws ErrorKind::usage with the nearest name.
ShrinkSchedule shrink_schedule(std::string_view name);

/// The search space through its stages. Plain data: copy it to a checkpoint and back.
struct ShrinkState {
    struct Stage {
        std::vector<OperatorScore> scores;
        std::vector<LayerOperator> dropped;
        bool base_replaced = false;  // after this stage
    };
    OperatorLists operators;
    std::vector<Stage> stages{};
};

/// True where the space is small enough or all stages are done.
bool shrink_done(const ShrinkState& state, const ShrinkSchedule& schedule);
/// Epochs to train before the next drop.
int shrink_epochs(const ShrinkState& state, const ShrinkSchedule& schedule);
/// Drops by `scores` and says in the returned stage whether the base weights are now to be replaced. Throws
/// ErrorKind::usage when done.
const ShrinkState::Stage& shrink_step(ShrinkState& state, const ShrinkSchedule& schedule,
                                      std::vector<OperatorScore> scores);

}  // namespace nascent
