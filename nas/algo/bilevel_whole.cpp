// Steps of a search by gradients that are launched as one graph. All that changes from step to step lies at places of
// the device that one copy updates, so that the work of a step is the same each time; what the host wants to know of it
// is set aside and read at the end.
#include <cmath>

#include "nas/algo/bilevel.h"

namespace nascent {

std::string BilevelTrainer::why_not_whole(const Device& device) const {
    if (!training_.capture || !training_.capture_whole) return "captures of whole steps are off";
    if (!device.can_capture()) return "the device captures nothing";
    if (const std::string rule = rule_ ? rule_->differs() : ""; !rule.empty()) return rule;
    if (const std::string network = net_.differs(); !network.empty()) return network;
    if (training_.sgd.inactive == SgdOptions::Inactive::coast) return "weights without a gradient coast";
    return "";
}

std::vector<Tensor> BilevelTrainer::alpha_tensors() const {
    std::vector<Tensor> all;
    for (int p : net_.alphas()) all.push_back(net_.store().raw(p));
    return all;
}

void BilevelTrainer::hold_steps() {
    held_ = std::make_unique<HeldStep>(net_.store().device(), net_.store().dtype());
    sgd_.hold(held_->values);
    adam_.hold(held_->values);
    architect_.hold(*held_);
    if (rule_) rule_->hold(held_->values, alpha_tensors());
}

StepReads::Kept BilevelTrainer::kept_alphas() const {
    StepReads::Kept kept;
    for (const Tensor& t : alpha_tensors()) kept.emplace_back(Read::alphas, t);
    return kept;
}

void BilevelTrainer::whole_work(std::int64_t step, std::int64_t epoch, Moves moves, const LabelledBatch& given,
                                const LabelledBatch& given_alpha) {
    const LabelledBatch train = resident_train_ ? resident_train_->prepared() : given;
    auto step_alphas = [&] {
        net_.begin(Pass::architecture, epoch, step);
        architect_.gradients(train, resident_alpha_ ? resident_alpha_->prepared() : given_alpha, 0,
                             [&](const Tape& tape) { adam_.step(tape); });
    };
    if (moves == Moves::apart && !training_.weights_first) step_alphas();
    net_.begin(Pass::weights, epoch, step);
    Step read_later;
    step_weights(train, moves == Moves::together, read_later);
    if (moves == Moves::apart && training_.weights_first) step_alphas();
    if (moves != Moves::weights) held_->reads.keep(kept_alphas());
}

BilevelTrainer::Step BilevelTrainer::whole_step(std::int64_t step, std::int64_t epoch, Moves moves) {
    HostValues& values = held_->values;
    if (rule_)
        for (Pass pass : {Pass::architecture, Pass::weights}) rule_->prepare(pass, epoch, step);
    sgd_.prepare();
    adam_.prepare();
    architect_.prepare(learning_rate(training_, epoch));
    const bool apart = moves == Moves::apart;
    LabelledBatch train, alpha;  // where they come as pixels
    if (resident_train_)
        resident_train_->prepare(step, values);
    else
        train = train_.batch(step);
    if (apart && resident_alpha_)
        resident_alpha_->prepare(step, values);
    else if (apart)
        alpha = alpha_.batch(step);
    values.send();

    const int pictures = resident_train_ ? resident_train_->pictures() : train.pictures(),
              alphas = !apart            ? 0
                       : resident_alpha_ ? resident_alpha_->pictures()
                                         : alpha.pictures();
    Work& work = works_[{moves, pictures, alphas}];
    auto run = [&] {
        held_->reads.begin();
        whole_work(step, epoch, moves, train, alpha);
    };
    if (work.graph) {
        arena_.take_to(work.end);
        work.graph->launch();
        sgd_.count_replayed(work.weights);
        if (moves != Moves::weights) adam_.count_replayed(work.alphas);
        const std::vector<std::int64_t*> counters = net_.counters();
        for (std::size_t i = 0; i < counters.size(); i++) *counters[i] += work.counted[i];
        replayed_++;
    } else if (work.ran) {
        CaptureScope capture(net_.store().device());
        run();
        work.graph = capture.end();
        NASCENT_CHECK(arena_.mark() == work.end, runtime, "a step took other memory than the one before");
        work.graph->launch();
    } else {
        for (const std::int64_t* counter : net_.counters()) work.counted.push_back(-*counter);
        run();
        for (std::size_t i = 0; i < work.counted.size(); i++) work.counted[i] += *net_.counters()[i];
        work.ran = true;
        work.end = arena_.mark();
        work.weights = sgd_.stepped();
        work.alphas = adam_.stepped();
        work.kept = held_->reads.kept();
    }
    if (work.graph) nodes_ = work.graph->nodes();
    held_->reads.read(work.kept);
    return read_whole(moves);
}

BilevelTrainer::Step BilevelTrainer::read_whole(Moves moves) {
    StepReads& reads = held_->reads;
    Step result;
    auto read_alphas = [&] {
        std::vector<std::vector<double>> all;
        for (std::size_t m = 0; m < net_.alphas().size(); m++) {
            const Tensor t = reads.next(Read::alphas);
            with_type(t.dtype, [&](auto zero) {
                const auto numbers = t.span<decltype(zero)>();
                all.emplace_back(numbers.begin(), numbers.end());
            });
        }
        checked(std::move(all));  // throws where one is not finite
    };
    auto read_arch = [&] {
        result.arch_loss = finite_loss(reads.number(Read::arch_loss), "a smaller arch.lr or train.lr");
        if (training_.second_order) Architect::check_norm(std::sqrt(reads.number(Read::look_ahead_squares)));
        read_alphas();
    };
    if (moves == Moves::apart && !training_.weights_first) read_arch();
    const double value = finite_loss(reads.number(Read::loss), "a smaller train.lr, or train.clip = 5");
    result.score.add(value, hits_on_host(reads.next(Read::logits), reads.next(Read::labels)));
    if (sgd_.squares().defined()) result.gradient_norm = std::sqrt(reads.number(Read::squares));
    if (moves == Moves::together) {
        result.arch_loss = value;
        read_alphas();
    }
    if (moves == Moves::apart && training_.weights_first) read_arch();
    return result;
}

}  // namespace nascent
