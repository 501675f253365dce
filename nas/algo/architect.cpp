#include "nas/algo/architect.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/execution.h"
#include "ops/optim/clip.h"
#include "ops/optim/combine.h"
#include "ops/reference.h"

namespace nascent {
namespace {

constexpr auto fixed = Tape::Gradients::parameters_fixed;
constexpr const char* advice = "a smaller arch.lr or train.lr";

bool has(const std::vector<int>& ranges, int r) { return std::find(ranges.begin(), ranges.end(), r) != ranges.end(); }

}  // namespace

Architect::Architect(SearchNet& net, Arena& arena, const ArchitectOptions& options)
    : net_(net), arena_(arena), options_(options) {
    ParameterStore& store = net.store();
    for (int p : net.alphas()) alphas_.push_back(store.parameters()[static_cast<std::size_t>(p)].range);
    NASCENT_CHECK(!alphas_.empty(), runtime, "the network has no architecture parameters");
    for (int r = 0; r < static_cast<int>(store.ranges().size()); r++)
        if (!has(alphas_, r) && store.range(r).count > 0) weights_.push_back(r);
    if (!options.second_order) return;
    second_.emplace(store, weights_);
    kept_.emplace(store.device());
    for (auto* to : {&ahead_, &plus_, &minus_})
        for (int r : alphas_) to->push_back(kept_->allocate(store.range(r).count * size_of(store.dtype())));
}

double Architect::gradients(const LabelledBatch& train, const LabelledBatch& valid, double lr,
                            const std::function<void(const Tape&)>& use) {
    return options_.second_order ? second_order(train, valid, lr, use) : first_order(valid, use);
}

Tensor Architect::loss(const LabelledBatch& batch) { return cross_entropy(net_.logits(batch.x, true), batch.labels); }

double Architect::first_order(const LabelledBatch& valid, const std::function<void(const Tape&)>& use) {
    ScratchScope scratch(arena_);
    const ConstantRanges constant(net_.store(), weights_);
    Tape tape(arena_, &net_.store(), fixed);
    TapeScope recording(&tape);
    const Tensor l = net_.penalised(loss(valid));
    backward_from(tape, l, cotangents());
    if (held_) held_->reads.keep({{Read::arch_loss, l}});
    const double value = held_ ? 0 : finite_loss(l, advice);
    use(tape);
    return value;
}

void Architect::look_ahead(const LabelledBatch& train, double lr) {
    ScratchScope scratch(arena_);
    ParameterStore& store = net_.store();
    const ConstantRanges constant(store, alphas_);
    Tape tape(arena_, &store, fixed);
    TapeScope recording(&tape);
    backward_from(tape, loss(train), cotangents());
    NASCENT_CHECK(tape.written().size() == weights_.size(), runtime, "{} of {} ranges of weights have a gradient",
                  tape.written().size(), weights_.size());
    combine(
        store, weights_, [&](int r) { return second_->weights(r); },
        {{{1 - lr * options_.weight_decay, [&](int r) { return store.range(r).weights; }},
          {-lr * options_.momentum, [&](int r) { return store.range(r).momentum; }},
          {-lr, [&](int r) { return store.gradient_place(r); }}}},
        unrolled_);
}

const double* Architect::look_ahead_squares(const Tape& tape) const {
    return sum_of_squares(
        tape, net_.store(), [&](int r) { return !has(alphas_, r); }, held_ ? squares_.as<double>() : nullptr);
}

void Architect::hold(HeldStep& step) {
    held_ = &step;
    if (!options_.second_order) return;
    lr_ = static_cast<double*>(step.values.take(sizeof(double)));
    unrolled_ = static_cast<double*>(step.values.take(3 * sizeof(double)));
    quotient_ = static_cast<double*>(step.values.take(9 * sizeof(double)));
    squares_ = step.values.tensor({1}, DType::f64);
}

void Architect::prepare(double lr) {
    if (!options_.second_order) return;
    const double unrolled[3] = {1 - lr * options_.weight_decay, -lr * options_.momentum, -lr};
    held_->values.write(lr_, lr);
    held_->values.write(unrolled_, unrolled, sizeof(unrolled));
}

void Architect::check_norm(double norm) {
    NASCENT_CHECK(norm > 0 && std::isfinite(norm), runtime, "the gradient at the unrolled weights has the norm {}",
                  norm);
}

void Architect::keep_alpha_gradients(std::vector<void*>& to) {
    ParameterStore& store = net_.store();
    combine(store, alphas_,
            [&](int r) {
                return to[static_cast<std::size_t>(std::find(alphas_.begin(), alphas_.end(), r) - alphas_.begin())];
            },
            {{{1, [&](int r) { return store.gradient_place(r); }}, {}, {}}});
}

void Architect::move_weights(double factor, bool over_gradients, const double* factors) {
    ParameterStore& store = net_.store();
    combine(
        store, weights_, [&](int r) { return over_gradients ? store.gradient_place(r) : second_->weights(r); },
        {{{1, [&](int r) { return store.range(r).weights; }},
          {factor, [&](int r) { return store.gradient_place(r); }},
          {}}},
        factors);
}

void Architect::probe(const LabelledBatch& train, double factor, const double* factors, std::vector<void*>& to) {
    ScratchScope scratch(arena_);
    ParameterStore& store = net_.store();
    move_weights(factor, false, factors);
    const ConstantRanges constant(store, weights_);
    const SecondWeightsScope moved(*second_, false);
    Tape tape(arena_, &store, fixed);
    TapeScope recording(&tape);
    backward_from(tape, loss(train), cotangents());
    keep_alpha_gradients(to);
}

void Architect::probe_both(const LabelledBatch& train, double factor) {
    ScratchScope scratch(arena_);
    ParameterStore& store = net_.store();
    move_weights(factor, false, quotient_);
    move_weights(-factor, true, quotient_ ? quotient_ + 3 : nullptr);  // no weight's gradient is computed below
    const ConstantRanges constant(store, weights_);
    const TwinWeightsScope moved(*second_);
    Tape tape(arena_, &store, fixed);
    TapeScope recording(&tape);
    const std::vector<Tensor> logits = net_.logits_of_copies(train.x, true);
    backward_from(tape, cross_entropy(logits[0], train.labels), cross_entropy(logits[1], train.labels), cotangents());
    keep_alpha_gradients(plus_);
}

double Architect::second_order(const LabelledBatch& train, const LabelledBatch& valid, double lr,
                               const std::function<void(const Tape&)>& use) {
    ParameterStore& store = net_.store();
    look_ahead(train, lr);
    Tape tape(arena_, &store, fixed);
    double value = 0, e = 1;
    {
        ScratchScope scratch(arena_);
        const SecondWeightsScope moved(*second_, true);
        TapeScope recording(&tape);
        const Tensor l = loss(valid);
        {
            const SquaresScope squares(tape, store, true);
            backward_from(tape, l, cotangents());
        }
        if (held_) {
            quotient_factors(store, look_ahead_squares(tape), lr_, options_.twin, quotient_);
            held_->reads.keep({{Read::arch_loss, l}, {Read::look_ahead_squares, squares_}});
        } else {
            value = finite_loss(l, advice);
            const ScratchScope squared(arena_);
            double squares;
            store.device().copy_out(&squares, look_ahead_squares(tape), sizeof(squares));
            check_norm(std::sqrt(squares));
            e = 0.01 / std::sqrt(squares);
        }
        keep_alpha_gradients(ahead_);
    }
    // From here on only alphas' gradients are computed: the weights' v stay where they are until w - e v replaces them.
    if (options_.twin) {
        probe_both(train, e);
    } else {
        probe(train, e, quotient_, plus_);
        probe(train, -e, quotient_ ? quotient_ + 3 : nullptr, minus_);
    }
    auto place = [&](const std::vector<void*>& kept) {
        return [this, &kept](int r) -> const void* {
            return kept[static_cast<std::size_t>(std::find(alphas_.begin(), alphas_.end(), r) - alphas_.begin())];
        };
    };
    combine(
        store, alphas_, [&](int r) { return store.gradient_place(r); },
        {{{1, place(ahead_)}, {-lr / (2 * e), place(plus_)}, {options_.twin ? 0 : lr / (2 * e), place(minus_)}}},
        quotient_ ? quotient_ + 6 : nullptr);
    use(tape);
    return value;
}

}  // namespace nascent
