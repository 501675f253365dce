#include "ops/optim/adam.h"

#include <cmath>
#include <numeric>

#include "kernels/adam.h"
#include "ops/kernel_stream.h"
#include "ops/optim/clip.h"

namespace nascent {

Adam::Adam(ParameterStore& store, AdamOptions options, std::function<double(std::int64_t)> learning_rate,
           const std::vector<int>& ranges)
    : store_(store),
      options_(options),
      learning_rate_(std::move(learning_rate)),
      moments_(store.device()),
      states_(store.ranges().size()) {
    std::vector<int> all(states_.size());
    std::iota(all.begin(), all.end(), 0);
    for (int r : ranges.empty() ? all : ranges) {
        NASCENT_CHECK(r >= 0 && static_cast<std::size_t>(r) < states_.size(), runtime, "no range {} in the store", r);
        State& s = states_[static_cast<std::size_t>(r)];
        for (Tensor* moment : {&s.first, &s.second}) {
            *moment = moments_.tensor({static_cast<std::int64_t>(store.range(r).count)}, store.dtype());
            moment->device->fill(moment->data, 0, moment->bytes());
        }
    }
}

double Adam::step(const Tape& tape) {
    double norm = 0;
    stepped_.clear();
    ScratchScope scratch(tape.arena());
    with_type(store_.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<kernels::AdamRange<T>> ranges;
        for (const WrittenRange& w : tape.written()) {
            if (!has(w.range)) continue;
            State& s = states_[static_cast<std::size_t>(w.range)];
            const ParameterRange& r = store_.range(w.range);
            ranges.push_back({static_cast<T*>(r.weights), s.first.as<T>(), s.second.as<T>(),
                              static_cast<const T*>(w.grad), r.count, ++s.steps,
                              values_ ? corrections_[static_cast<std::size_t>(w.range)] : nullptr});
            stepped_.push_back(w.range);
        }
        kernels::AdamStep s = step_now();
        const double* squares = nullptr;
        if (options_.clip_norm > 0)
            squares = sum_of_squares(
                tape, store_, [this](int range) { return has(range); },
                squares_.defined() ? squares_.as<double>() : nullptr);
        s.clip = {options_.clip_norm, squares};
        kernels::adam<T>(kernel_stream(store_.device()), s, ranges);
        if (squares && !values_) store_.device().copy_out(&norm, squares, sizeof(norm));
    });
    step_++;
    return std::sqrt(norm);
}

kernels::AdamStep Adam::step_now() const {
    return {learning_rate_(step_), options_.beta1, options_.beta2, options_.eps, options_.weight_decay};
}

void Adam::hold(HostValues& values) {
    values_ = &values;
    corrections_.assign(states_.size(), nullptr);
    for (std::size_t r = 0; r < states_.size(); r++)
        if (has(static_cast<int>(r))) corrections_[r] = static_cast<double*>(values.take(2 * sizeof(double)));
    if (options_.clip_norm > 0) squares_ = values.tensor({1}, DType::f64);
}

void Adam::prepare() {
    for (std::size_t r = 0; r < states_.size(); r++) {
        if (!corrections_[r]) continue;
        const kernels::AdamCorrection c(step_now(), states_[r].steps + 1);
        const double both[2] = {c.rate, c.root};
        values_->write(corrections_[r], both, sizeof(both));
    }
}

void Adam::count_replayed(std::span<const int> ranges) {
    for (int range : ranges) states_[static_cast<std::size_t>(range)].steps++;
    step_++;
}

const Adam::State& Adam::state(int range) const {
    NASCENT_CHECK(range >= 0 && static_cast<std::size_t>(range) < states_.size() && has(range), runtime,
                  "range {} is not stepped by this optimizer", range);
    return states_[static_cast<std::size_t>(range)];
}

void Adam::set_steps(int range, std::int64_t steps) {
    state(range);
    NASCENT_CHECK(steps >= 0, runtime, "range {}: expected a number of steps, got {}", range, steps);
    states_[static_cast<std::size_t>(range)].steps = steps;
}

}  // namespace nascent
