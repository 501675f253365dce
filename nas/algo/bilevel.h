// Search by gradients, step by step: weights on one half of the pictures, architecture parameters on the other (DARTS,
// Liu, Simonyan and Yang, ICLR 2019, algorithm 1), or both on the same batch (SNAS). What mixed ops make of the alphas
// is the algorithm's rule.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "engine/autograd/execution.h"
#include "nas/algo/arch_rules.h"
#include "nas/algo/architect.h"
#include "nas/algo/evaluate.h"
#include "nas/algo/resident_batches.h"
#include "nas/algo/search_space.h"
#include "ops/optim/adam.h"
#include "ops/optim/sgd.h"

namespace nascent {

struct BilevelTraining {
    int epochs = 50;
    double lr = 0.025, lr_min = 0.001;
    /// The program steps its scheduler before each epoch. Up to PyTorch 1.0 epoch e then ran at the cosine of e
    /// (`after`: as if stepped after it), since 1.1 the same program runs it at that of e + 1 (`before`).
    enum class LrStep { after, before } lr_step = LrStep::after;
    /// The first `warmup` epochs run at lr (e + 1) / warmup instead (PC-DARTS on ImageNet overwrites the rate so). With
    /// `before` the scheduler then goes on from the rate it was left, which is lr.
    int warmup = 0;
    SgdOptions sgd{.momentum = 0.9,
                   .weight_decay = 3e-4,
                   .nesterov = false,
                   .clip_norm = 5,
                   .inactive = SgdOptions::Inactive::skip};
    double arch_lr = 3e-4;
    AdamOptions arch{.beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-3};
    bool second_order = false;
    /// Epochs in which only the weights move (PC-DARTS's warm-up), at the start of each stage.
    int begin = 0;
    /// First epochs of the stages behind the first (DrNAS's progressive search), ascending.
    std::vector<int> stages = {};
    /// A stage starts with the whole rate `lr` and goes on with the scheduler's counter, as DrNAS's program does: above
    /// lr_min the rate is that of the schedule times what it would be at the stage's first epoch, inverted.
    bool lr_restarts = false;
    /// Second order's last two passes as one over two copies (ArchitectOptions::twin). Unset: where the device can
    /// capture, where launches cost more than the memory of two copies' activations.
    std::optional<bool> twin = {};
    /// The weights' update comes before the alphas' (NAS-Bench-201's DARTS-V1), not after it.
    bool weights_first = false;
    /// The weights' step also computes the alphas' gradients, which count in the clipped norm and move nothing.
    bool clip_with_alphas = false;
    /// One forward and backward of the weights' batch gives both gradients (SNAS); the alphas' batches are not read.
    bool single_level = false;
    ArchRuleOptions rule;
    std::vector<AlphaMatrix> matrices;  // names for messages, as the network's alphas; none: numbers
    /// Where the device can, steps are replayed from captures: whole, unless something of a step is decided on the host
    /// (BilevelTrainer::not_whole), else op call by op call. Changes no bit.
    bool capture = true, capture_whole = true;
};

/// Of the stage that an epoch is in.
int stage_start(const BilevelTraining& training, std::int64_t epoch);
/// Of all steps of an epoch.
double learning_rate(const BilevelTraining& training, std::int64_t epoch);

class BilevelTrainer {
  public:
    /// `train` and `alpha` are the halves' batches; the network and what the sources stand on must outlive the trainer.
    BilevelTrainer(SearchNet& net, BatchSource train, BatchSource alpha, const BilevelTraining& training);
    ~BilevelTrainer();

    struct Step {
        Score score;           // of the weights' batch, before its update
        double arch_loss = 0;  // of the alphas' batch
        double gradient_norm = 0;
    };
    /// One step of the alphas (unless they are not to move) and one of the weights; the state is a function of the seed
    /// and the number of steps alone. Throws Error(runtime) when a loss or an alpha is not finite: the state is then of
    /// no use.
    Step step(bool move_alphas = true);
    std::int64_t step_number() const { return sgd_.step_number(); }
    std::int64_t steps_per_epoch() const { return train_.steps_per_epoch; }
    /// How many forwards have moved the running statistics so far.
    std::int64_t batches() const;
    std::int64_t total_steps() const { return steps_per_epoch() * training_.epochs; }
    bool done() const { return step_number() >= total_steps(); }

    /// The alphas, matrix by matrix, rows one after another; minus infinity for pruned operators. Throws Error(runtime)
    /// where one is not finite, or out of the rule's range.
    std::vector<std::vector<double>> alphas() const;
    /// All of a source's epoch number `epoch`, in evaluation mode.
    Score evaluate(const BatchSource& source, std::int64_t epoch, const std::function<bool()>& stop);
    /// One batch of a source, by the architecture that the rule has for the candidate of this number.
    Score evaluate_candidate(const BatchSource& source, std::int64_t number);

    Sgd& optimizer() { return sgd_; }
    const Sgd& optimizer() const { return sgd_; }
    Adam& arch_optimizer() { return adam_; }
    /// The optimizers go on from another trainer's, of the same ranges.
    void go_on_from(BilevelTrainer& other);
    double wait_seconds() const;
    /// Why steps are not launched as one graph each; empty: they are, from the third of each kind on (with and without
    /// the alphas, and by the sizes of their batches).
    const std::string& not_whole() const { return not_whole_; }
    /// Steps that were one launch, and the kernels, fills and copies in the last of them.
    std::int64_t replayed_steps() const { return replayed_; }
    std::size_t replayed_nodes() const { return nodes_; }
    /// Bytes of pictures that lie on the device; 0 where batches come as pixels.
    std::size_t resident_bytes() const { return pictures_.bytes(); }
    /// The most bytes that activations, their gradients and scratch have taken.
    std::size_t high_water() const { return arena_.high_water(); }
    std::size_t second_bytes() const { return architect_.second_bytes(); }

  private:
    /// An element of a matrix of alphas, in words.
    std::string place(std::size_t matrix, std::size_t element, std::size_t columns) const;
    void step_weights(const LabelledBatch& batch, bool move_alphas, Step& result);
    /// What of a step moves. The alphas' with the weights', by a pass of their own, or not at all.
    enum class Moves { weights, together, apart };
    std::string why_not_whole(const Device& device) const;
    void hold_steps();
    Step whole_step(std::int64_t step, std::int64_t epoch, Moves moves);
    void whole_work(std::int64_t step, std::int64_t epoch, Moves moves, const LabelledBatch& given,
                    const LabelledBatch& given_alpha);
    Step read_whole(Moves moves);
    /// Numbers of the alphas, checked as alphas() says.
    std::vector<std::vector<double>> checked(std::vector<std::vector<double>> all) const;
    std::vector<Tensor> alpha_tensors() const;
    StepReads::Kept kept_alphas() const;
    SearchNet& net_;
    BilevelTraining training_;
    BatchSource train_, alpha_;
    std::unique_ptr<ArchRule> rule_;
    Arena arena_;
    Architect architect_;
    Sgd sgd_;
    Adam adam_;
    std::unique_ptr<Segments> segments_;
    ResidentPictures pictures_;
    std::unique_ptr<ResidentBatches> resident_train_, resident_alpha_;  // null: batches come as pixels

    /// The work of all steps of a kind.
    struct Work {
        bool ran = false;
        std::unique_ptr<Graph> graph;
        std::size_t end = 0;                // where it leaves the arena
        std::vector<int> weights, alphas;   // ranges that it updates
        std::vector<std::int64_t> counted;  // by the network's counters
        StepReads::Kept kept;
    };
    std::string not_whole_;
    std::unique_ptr<HeldStep> held_;  // null where steps are not whole
    std::map<std::tuple<Moves, int, int>, Work> works_;
    std::int64_t replayed_ = 0;
    std::size_t nodes_ = 0;
};

}  // namespace nascent
