// What a search by gradients trains: a network with weights and with architecture parameters in one store.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/memory/host_values.h"
#include "engine/memory/parameter_store.h"

namespace nascent {

/// What the forwards of a search are for: the alphas' loss, the weights' loss (of both, where one batch trains both),
/// an evaluation, the choice among candidates.
enum class Pass { architecture, weights, evaluation, selection };

/// What a matrix of alphas is to the mixed ops that it weighs, for one forward.
struct ArchWeights {
    Tensor weights;                // (edges, operators), with a gradient for the alphas
    std::vector<int> chosen = {};  // by edge: the operator that alone is computed; empty: all are
    /// Behind the edges' and operators' weights lies one number per node that is added to all its elements.
    bool sums = false;
    /// By edge and operator: whether it is computed at all (pruned ones are not); empty: all are.
    std::vector<bool> kept = {};
    bool keeps(int element) const { return kept.empty() || kept[static_cast<std::size_t>(element)]; }
};

/// How alphas become weights: what sets the algorithms of a search apart. Networks ask it once per forward and matrix.
class ArchRule {
  public:
    virtual ~ArchRule() = default;
    /// The forwards that follow belong to this pass of epoch `epoch`, `number` the step or the batch that is evaluated.
    /// What is drawn in them is a function of pass and number alone.
    virtual void begin(Pass pass, std::int64_t epoch, std::int64_t number) = 0;
    /// Of the network's matrix number `matrix`, (edges, operators), in the current execution.
    virtual ArchWeights weights(const Tensor& alphas, int matrix) = 0;
    /// What is added to the alphas' loss for each matrix, of shape (1); undefined: nothing.
    virtual Tensor penalty(const Tensor& /*alphas*/) { return {}; }
    /// Why the rule cannot go on with this finite alpha; empty: it can.
    virtual std::string objection(double /*alpha*/) const { return {}; }

    /// Why the work of a training step is not the same each time but for numbers, so that it cannot be captured as a
    /// whole; empty: it is.
    virtual std::string differs() const { return {}; }
    /// For steps that are captured: from now on what is drawn for the forwards of training passes stands in `values`,
    /// of the network's matrices `alphas`, where prepare() writes it before a step.
    virtual void hold(HostValues& /*values*/, std::span<const Tensor> /*alphas*/) {}
    virtual void prepare(Pass /*pass*/, std::int64_t /*epoch*/, std::int64_t /*number*/) {}
};

class SearchNet {
  public:
    virtual ~SearchNet() = default;
    virtual ParameterStore& store() = 0;
    /// Logits (n, classes) of pictures x (n, s, s, 3), in the current execution. Training uses batch statistics and
    /// moves the running ones.
    Tensor logits(const Tensor& x, bool training) {
        NASCENT_CHECK(store().copies() == 1, runtime, "the weights of {} copies give as many logits", store().copies());
        return logits_of_copies(x, training)[0];
    }
    /// The same of each copy that the store has weights for, all of the same pictures. The copies are computed side by
    /// side; running statistics move for one after the other.
    virtual std::vector<Tensor> logits_of_copies(const Tensor& x, bool training) = 0;
    /// The architecture parameters, each alone in a range: a row of numbers per edge.
    virtual std::vector<int> alphas() const = 0;

    /// The operators of searched cells that have weights or running statistics: the names of their layers in order of
    /// computation (of a FactorizedReduce the two convolutions side by side, then their batch-norm).
    virtual std::vector<std::vector<std::string>> operators() const = 0;

    /// Null, as at first: the weights are the softmax of the rows (DARTS). The rule must outlive the network's use.
    void set_rule(ArchRule* rule) { rule_ = rule; }
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) {
        forward_ = {pass, number};
        if (rule_) rule_->begin(pass, epoch, number);
    }
    /// What forwards count on the host, so that a step that is done again from a capture can be counted.
    virtual std::vector<std::int64_t*> counters() { return {}; }
    /// As ArchRule::differs, of the network itself.
    virtual std::string differs() const { return {}; }
    /// The alphas' loss with the rule's penalties.
    Tensor penalised(Tensor loss);

  protected:
    /// What the forwards that follow are for.
    struct Forward {
        Pass pass = Pass::evaluation;
        std::int64_t number = 0;
    } forward_;
    /// Of the alphas in a parameter, which are matrix number `matrix` to the rule.
    ArchWeights arch_weights(int parameter, int matrix);

  private:
    ArchRule* rule_ = nullptr;
};

}  // namespace nascent
