#include "nas/algo/chain_trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "engine/autograd/execution.h"
#include "ops/reference.h"

namespace nascent {
namespace {

ChainTraining checked(const ChainTraining& t) {
    NASCENT_CHECK(t.steps >= 1, usage, "{} training steps, expected at least 1", t.steps);
    NASCENT_CHECK(t.lr_steps >= 0, usage, "learning rates for {} steps", t.lr_steps);
    NASCENT_CHECK(t.lr_min >= 0 && t.lr_min <= t.lr, usage, "learning rates from {} to {}", t.lr, t.lr_min);
    return t;
}

}  // namespace

double learning_rate(const ChainTraining& t, std::int64_t step) {
    const double length = t.lr_steps > 0 ? t.lr_steps : static_cast<double>(t.steps);
    const double done = static_cast<double>(step + (t.lr_step == ChainTraining::LrStep::before));
    const double share = std::min(1.0, done / length);
    const double left =
        t.schedule == ChainTraining::Schedule::linear ? 1 - share : (1 + std::cos(std::numbers::pi * share)) / 2;
    return t.lr_min + (t.lr - t.lr_min) * left;
}

ChainTrainer::ChainTrainer(ChainNet& net, BatchSource source, ChainPaths paths, const ChainTraining& training)
    : net_(net),
      training_(checked(training)),
      source_(std::move(source)),
      paths_(std::move(paths)),
      sgd_(net.store(), training.sgd, [t = training](std::int64_t step) { return learning_rate(t, step); }),
      memory_(net.store().device(), training.capture) {}

ChainTrainer::Step ChainTrainer::step() {
    const std::int64_t step = step_number();
    Scope scope("step {}", step);
    RecordedStep recorded(memory_, net_.store());
    const LabelledBatch batch = source_.batch(step);
    ChainPass pass;
    if (training_.dropout) pass.dropout = DropoutKey{training_.seed, static_cast<std::uint64_t>(step)};
    const Tensor logits = net_.forward(batch.x, paths_(step), pass);
    return recorded.update(sgd_, logits, batch.labels, training_.label_smoothing);
}

}  // namespace nascent
