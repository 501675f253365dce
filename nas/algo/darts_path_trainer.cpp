#include "nas/algo/darts_path_trainer.h"

#include <algorithm>
#include <utility>

#include "nas/algo/schedules.h"
#include "ops/reference.h"

namespace nascent {

double learning_rate(const DartsPathTraining& t, std::int64_t epoch) {
    return cosine_lr(t.lr, t.lr_min, t.schedule_epochs > 0 ? t.schedule_epochs : t.epochs,
                     epoch + (t.lr_step == DartsPathTraining::LrStep::before_epoch));
}

double learning_rate(const DartsPathTraining& t, std::int64_t step, std::int64_t steps_per_epoch) {
    if (t.schedule == DartsPathTraining::Schedule::cosine) return learning_rate(t, step / steps_per_epoch);
    return linear_step_lr(t.lr, t.lr_min, t.linear_steps,
                          step + (t.lr_step == DartsPathTraining::LrStep::before_epoch));
}

darts::Code path_of(const DartsPathTraining& t, std::int64_t step) {
    step += t.first;
    if (t.draws == DartsPathTraining::Draws::numpy) {
        if (!t.one_cell) return darts::numpy_training_path(t.seed, step, t.operators);
        const darts::CellCode cell = darts::numpy_training_cell(t.seed, step, t.operators);
        return {cell, cell};
    }
    if (t.one_cell) {
        const darts::CellCode cell = darts::training_path(t.seed, step, t.operators).normal;
        return {cell, cell};
    }
    static const darts::EdgeOperators all = darts::all_operators();
    return t.operators == all ? darts::training_path(t.seed, step) : darts::training_path(t.seed, step, t.operators);
}

DartsPathTrainer::DartsPathTrainer(DartsNet& net, BatchSource source, const DartsPathTraining& training)
    : net_(net),
      training_(training),
      source_(std::move(source)),
      sgd_(net.store(), training.sgd,
           [t = training, n = source_.steps_per_epoch](std::int64_t step) { return learning_rate(t, step, n); }),
      memory_(net.store().device(), training.capture) {
    darts::check_operators(training.operators);
    (void)path_of(training_, std::max<std::int64_t>(total_steps() - 1, 0));
}

void DartsPathTrainer::set_operators(const darts::EdgeOperators& operators) {
    darts::check_operators(operators);
    training_.operators = operators;
}

DartsPathTrainer::Step DartsPathTrainer::step() {
    const std::int64_t step = step_number();
    Scope scope("step {}", step);
    RecordedStep recorded(memory_, net_.store());
    const LabelledBatch batch = source_.batch(training_.first + step);
    const Tensor logits = net_.forward(batch.x, path_of(training_, step), true);
    return recorded.update(sgd_, logits, batch.labels, training_.label_smoothing);
}

}  // namespace nascent
