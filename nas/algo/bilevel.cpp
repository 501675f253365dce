#include "nas/algo/bilevel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "nas/algo/schedules.h"
#include "ops/constants.h"
#include "ops/optim/clip.h"
#include "ops/reference.h"

namespace nascent {

int stage_start(const BilevelTraining& t, std::int64_t epoch) {
    int from = 0;
    for (int start : t.stages)
        if (start <= epoch) from = start;
    return from;
}

double learning_rate(const BilevelTraining& t, std::int64_t epoch) {
    const bool before = t.lr_step == BilevelTraining::LrStep::before;
    if (epoch < t.warmup) return t.lr * static_cast<double>(epoch + 1) / t.warmup;
    if (t.lr_restarts) {
        // The scheduler goes on from the rate it was left: a stage's first, or the last of the warm-up.
        const int from = std::max(stage_start(t, epoch), t.warmup - 1);
        return resumed_cosine_lr(t.lr, t.lr_min, t.epochs, from, epoch);
    }
    if (t.warmup > 0 && before) return resumed_cosine_lr(t.lr, t.lr_min, t.epochs, t.warmup, epoch + 1);
    return cosine_lr(t.lr, t.lr_min, t.epochs, epoch + before);
}

BilevelTrainer::BilevelTrainer(SearchNet& net, BatchSource train, BatchSource alpha, const BilevelTraining& training)
    : net_(net),
      training_(training),
      train_(std::move(train)),
      alpha_(std::move(alpha)),
      rule_(make_arch_rule(training.rule)),
      arena_(net.store().device()),
      architect_(net, arena_,
                 {training.second_order, training.sgd.momentum, training.sgd.weight_decay,
                  training.twin.value_or(net.store().device().can_capture())}),
      sgd_(
          net.store(), training.sgd,
          [t = training, n = train_.steps_per_epoch](std::int64_t step) { return learning_rate(t, step / n); },
          architect_.weight_ranges()),
      adam_(
          net.store(), training.arch, [lr = training.arch_lr](std::int64_t) { return lr; }, architect_.alpha_ranges()),
      pictures_(net.store().device()) {
    net.set_rule(rule_.get());
    Device& device = net.store().device();
    resident_train_ = ResidentBatches::of(pictures_, train_, net.store().dtype());
    if (!training.single_level) resident_alpha_ = ResidentBatches::of(pictures_, alpha_, net.store().dtype());
    not_whole_ = why_not_whole(device);
    // Where a rule chooses what runs, steps are too unlike each other for captures to come again.
    const bool repeats = training.rule.algo != Algo::gdas && training.rule.algo != Algo::rsps;
    if (not_whole_.empty())
        hold_steps();
    else if (training.capture && repeats && device.can_capture())
        segments_ = std::make_unique<Segments>(device);
}

double BilevelTrainer::wait_seconds() const {
    const double drawn = (resident_train_ ? resident_train_->wait_seconds() : 0) +
                         (resident_alpha_ ? resident_alpha_->wait_seconds() : 0);
    return train_.wait_seconds() + alpha_.wait_seconds() + drawn;
}

BilevelTrainer::~BilevelTrainer() { net_.set_rule(nullptr); }

void BilevelTrainer::step_weights(const LabelledBatch& batch, bool move_alphas, Step& result) {
    ScratchScope scratch(arena_);
    const std::vector<int> none;
    const ConstantRanges constant(net_.store(),
                                  training_.clip_with_alphas || move_alphas ? none : architect_.alpha_ranges());
    Tape tape(arena_, &net_.store(), Tape::Gradients::parameters_fixed);
    TapeScope recording(&tape);
    const Tensor logits = net_.logits(batch.x, true);
    const Tensor loss = cross_entropy(logits, batch.labels);
    {
        const SquaresScope squares(tape, net_.store(), training_.sgd.clip_norm > 0);
        backward_from(tape, loss, held_ ? held_->cotangents : Cotangents{});
    }
    if (held_) {
        sgd_.step(tape);
        if (move_alphas) adam_.step(tape);
        StepReads::Kept kept{{Read::loss, loss}, {Read::logits, logits}, {Read::labels, batch.labels}};
        if (sgd_.squares().defined()) kept.emplace_back(Read::squares, sgd_.squares());
        held_->reads.keep(kept);
        return;
    }
    const double value = finite_loss(loss, "a smaller train.lr, or train.clip = 5");
    result.score.add(value, hits(logits, batch.labels));
    result.gradient_norm = sgd_.step(tape);
    if (!move_alphas) return;
    result.arch_loss = value;
    adam_.step(tape);
}

BilevelTrainer::Step BilevelTrainer::step(bool move_alphas) {
    const std::int64_t step = step_number();
    Scope scope("step {}", step);
    arena_.reset();
    ExecutionScope execution(arena_);
    const std::int64_t epoch = step / steps_per_epoch();
    move_alphas = move_alphas && epoch - stage_start(training_, epoch) >= training_.begin;
    const bool together = training_.single_level && move_alphas, apart = move_alphas && !together;
    if (held_) return whole_step(step, epoch, together ? Moves::together : apart ? Moves::apart : Moves::weights);
    CapturedScope captured(segments_.get(), nullptr);
    Step result;
    const LabelledBatch train = resident_train_ ? resident_train_->batch(step) : train_.batch(step);
    LabelledBatch alpha;
    if (apart) alpha = resident_alpha_ ? resident_alpha_->batch(step) : alpha_.batch(step);
    const double lr = learning_rate(training_, epoch);
    auto step_alphas = [&] {
        net_.begin(Pass::architecture, epoch, step);
        result.arch_loss = architect_.gradients(train, alpha, lr, [&](const Tape& tape) { adam_.step(tape); });
        alphas();  // throws where one is not finite
    };
    if (apart && !training_.weights_first) step_alphas();
    net_.begin(Pass::weights, epoch, step);
    step_weights(train, together, result);
    if (together) alphas();
    if (apart && training_.weights_first) step_alphas();
    return result;
}

std::int64_t BilevelTrainer::batches() const {
    const std::int64_t passes = training_.single_level ? 1 : training_.second_order ? 4 : 2;
    std::int64_t alone = std::min(step_number(), training_.begin * steps_per_epoch());
    for (int start : training_.stages)
        alone +=
            std::clamp<std::int64_t>(step_number() - start * steps_per_epoch(), 0, training_.begin * steps_per_epoch());
    return step_number() * passes - alone * (passes - 1);
}

std::string BilevelTrainer::place(std::size_t matrix, std::size_t element, std::size_t columns) const {
    const std::size_t edge = element / columns, op = element % columns;
    if (matrix >= training_.matrices.size()) return fmt::format("edge {}, operator {}", edge, op);
    const AlphaMatrix& m = training_.matrices[matrix];
    return fmt::format("edge {}, operator {}", m.edges.at(edge), m.operators.at(op));
}

std::vector<std::vector<double>> BilevelTrainer::alphas() const {
    std::vector<std::vector<double>> all;
    for (int p : net_.alphas()) all.push_back(numbers_of(net_.store().raw(p)));
    return checked(std::move(all));
}

std::vector<std::vector<double>> BilevelTrainer::checked(std::vector<std::vector<double>> all) const {
    const std::vector<int> parameters = net_.alphas();
    for (std::size_t matrix = 0; matrix < all.size(); matrix++) {
        std::vector<double>& to = all[matrix];
        const Tensor t = net_.store().raw(parameters[matrix]);
        for (std::size_t i = 0; i < to.size(); i++) {
            const bool finite = std::isfinite(to[i]);
            if (const auto& kept = training_.rule.kept; finite && !kept.empty() && !kept.at(matrix)[i]) {
                to[i] = -INFINITY;
                continue;
            }
            const std::string objection = !finite ? "the search has diverged; try a smaller arch.lr"
                                          : rule_ ? rule_->objection(to[i])
                                                  : "";
            NASCENT_CHECK(objection.empty(), runtime, "'{}' is {} at {}: {}",
                          net_.store().parameters()[static_cast<std::size_t>(parameters[matrix])].name, to[i],
                          place(matrix, i, static_cast<std::size_t>(t.shape[1])), objection);
        }
    }
    return all;
}

void BilevelTrainer::go_on_from(BilevelTrainer& other) {
    sgd_.set_step_number(other.sgd_.step_number());
    adam_.set_step_number(other.adam_.step_number());
    Device& device = net_.store().device();
    const std::vector<int>& ours = architect_.alpha_ranges();
    for (std::size_t i = 0; i < ours.size(); i++) {
        const Adam::State &from = other.adam_.state(other.architect_.alpha_ranges().at(i)), &to = adam_.state(ours[i]);
        for (auto [source, place] : {std::pair{from.first, to.first}, {from.second, to.second}}) {
            std::vector<std::byte> host(source.bytes());
            device.copy_out(host.data(), source.data, host.size());
            device.copy_in(place.data, host.data(), host.size());
        }
        adam_.set_steps(ours[i], from.steps);
    }
}

Score BilevelTrainer::evaluate(const BatchSource& source, std::int64_t epoch, const std::function<bool()>& stop) {
    const auto resident = ResidentBatches::of(pictures_, source, net_.store().dtype());
    return nascent::evaluate(net_, arena_, resident ? resident->as_source() : source, epoch * source.steps_per_epoch,
                             source.steps_per_epoch, stop);
}

Score BilevelTrainer::evaluate_candidate(const BatchSource& source, std::int64_t number) {
    const auto resident = ResidentBatches::of(pictures_, source, net_.store().dtype());
    return nascent::evaluate(
        net_, arena_, resident ? resident->as_source() : source, number, 1, [] { return false; }, Pass::selection);
}

}  // namespace nascent
