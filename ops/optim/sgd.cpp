#include "ops/optim/sgd.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/sgd.h"
#include "ops/kernel_stream.h"
#include "ops/optim/clip.h"

namespace nascent {

Sgd::Sgd(ParameterStore& store, SgdOptions options, std::function<double(std::int64_t)> learning_rate,
         const std::vector<int>& ranges)
    : store_(store),
      options_(options),
      learning_rate_(std::move(learning_rate)),
      steps_(store.ranges().size(), ranges.empty()) {
    for (int r : ranges) {
        NASCENT_CHECK(r >= 0 && static_cast<std::size_t>(r) < steps_.size(), runtime, "no range {} in the store", r);
        steps_[static_cast<std::size_t>(r)] = true;
    }
    NASCENT_CHECK(options_.clip_value >= 0 && (options_.clip_value == 0 || options_.clip_norm == 0), runtime,
                  "gradients are clipped by value or by norm, not by both");
    for (const ParameterRange& r : store.ranges()) {
        std::vector<Piece>& pieces = pieces_.emplace_back();
        for (int p = r.first; p < r.first + r.parameters; p++) {
            const Parameter& meta = store.parameters()[static_cast<std::size_t>(p)];
            const bool on = decays(p);
            if (pieces.empty() || pieces.back().decays != on) pieces.push_back({meta.offset, 0, on});
            pieces.back().count = meta.offset + meta.shape.size() - pieces.back().offset;
        }
    }
    store_.set_before_read([this](std::span<const int> read) { catch_up(read); });
}

Sgd::~Sgd() { store_.set_before_read(nullptr); }

bool Sgd::decays(int parameter) const {
    return !options_.decays || options_.decays(store_.parameters()[static_cast<std::size_t>(parameter)]);
}

bool Sgd::pending(int range, double (&m)[4], bool decays) const {
    const ParameterRange& r = store_.ranges()[static_cast<std::size_t>(range)];
    if (options_.inactive == SgdOptions::Inactive::skip || r.last_step == ParameterRange::never ||
        r.last_step + 1 >= step_)
        return false;
    std::ranges::copy(std::array{1.0, 0.0, 0.0, 1.0}, m);
    const double mu = options_.momentum, wd = decays ? options_.weight_decay : 0;
    for (std::int64_t s = r.last_step + 1; s < step_; s++) {
        // v' = mu v + wd w; w' = w - lr v', or with Nesterov w - lr (wd w + mu v').
        const double lr = learning_rate_(s);
        const double ww = options_.nesterov ? 1 - lr * (wd + mu * wd) : 1 - lr * wd;
        const double wv = options_.nesterov ? -lr * mu * mu : -lr * mu;
        const double a = ww * m[0] + wv * m[2], b = ww * m[1] + wv * m[3];
        m[2] = wd * m[0] + mu * m[2];
        m[3] = wd * m[1] + mu * m[3];
        m[0] = a, m[1] = b;
    }
    return true;
}

/// The range's pieces, each with the steps that it misses.
template <class T>
void Sgd::add_pieces(std::vector<kernels::SgdRange<T>>& list, int range, void* w, void* v, const void* g) const {
    for (const Piece& piece : pieces_[static_cast<std::size_t>(range)]) {
        list.push_back({static_cast<T*>(w) + piece.offset, static_cast<T*>(v) + piece.offset,
                        g ? static_cast<const T*>(g) + piece.offset : nullptr, piece.count});
        list.back().decays = piece.decays;
        double m[4];
        if (pending(range, m, piece.decays)) std::copy(m, m + 4, list.back().gap);
    }
}

kernels::SgdStep Sgd::step_at(double lr) const {
    return {lr, options_.momentum, options_.weight_decay, options_.nesterov, {}, options_.clip_value};
}

void Sgd::catch_up(std::span<const int> ranges) {
    with_type(store_.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<kernels::SgdRange<T>> behind;
        for (int range : ranges) {
            ParameterRange& r = store_.range(range);
            if (!steps_[static_cast<std::size_t>(range)]) continue;
            // On a path for the first time, be it that of another loss (alphas') or one that ends at `none`: code that
            // fills with zeros gives it a zero gradient at least, which is a coasting step with no momentum yet.
            if (r.last_step == ParameterRange::never && current_tape() &&
                options_.inactive == SgdOptions::Inactive::coast)
                r.last_step = step_ - 1;
            double m[4];
            if (!pending(range, m)) continue;
            add_pieces(behind, range, r.weights, r.momentum, nullptr);
            r.last_step = step_ - 1;
        }
        if (behind.empty()) return;
        kernels::sgd<T>(kernel_stream(store_.device()), step_at(0), behind);
    });
}

double Sgd::step(const Tape& tape) {
    double norm = 0;
    stepped_.clear();
    ScratchScope scratch(tape.arena());
    with_type(store_.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const kernels::Stream stream = kernel_stream(store_.device());
        std::vector<kernels::SgdRange<T>> ranges;
        for (const WrittenRange& w : tape.written()) {
            if (!steps_[static_cast<std::size_t>(w.range)]) continue;
            catch_up({&w.range, 1});  // already done where the weights were read; a gradient may come without
            ParameterRange& r = store_.range(w.range);
            add_pieces(ranges, w.range, r.weights, r.momentum, w.grad);
            r.last_step = step_;
            stepped_.push_back(w.range);
        }
        kernels::SgdStep s = step_at(learning_rate_(step_));
        s.lr_at = rate_;
        const double* squares = nullptr;
        if (options_.clip_norm > 0)
            squares = sum_of_squares(
                tape, store_,
                [this](int range) { return options_.others_in_norm || steps_[static_cast<std::size_t>(range)]; },
                squares_.defined() ? squares_.as<double>() : nullptr);
        s.clip = {options_.clip_norm, squares};
        kernels::sgd<T>(stream, s, ranges);
        if (squares && !values_) store_.device().copy_out(&norm, squares, sizeof(norm));
    });
    norm = std::sqrt(norm);
    step_++;
    return norm;
}

void Sgd::hold(HostValues& values) {
    NASCENT_CHECK(options_.inactive == SgdOptions::Inactive::skip, runtime, "steps of coasting ranges are not alike");
    values_ = &values;
    rate_ = static_cast<double*>(values.take(sizeof(double)));
    if (options_.clip_norm > 0) squares_ = values.tensor({1}, DType::f64);
}

void Sgd::prepare() { values_->write(rate_, learning_rate_(step_)); }

void Sgd::count_replayed(std::span<const int> ranges) {
    for (int range : ranges) store_.range(range).last_step = step_;
    step_++;
}

void Sgd::peek(int range, void* out) const {
    const ParameterRange& r = store_.ranges()[static_cast<std::size_t>(range)];
    const std::size_t bytes = r.count * size_of(store_.dtype());
    if (double m[4]; !pending(range, m)) return store_.device().copy_out(out, r.weights, bytes);
    // The same kernel on copies, so that a peek equals the later read to the bit.
    Arena copies(store_.device(), 2 * bytes + (std::size_t{1} << 16));
    with_type(store_.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<T> host(r.count);
        T* copy[2] = {};
        for (int i : {0, 1}) {
            store_.device().copy_out(host.data(), i ? r.momentum : r.weights, bytes);
            copy[i] = static_cast<T*>(copies.allocate(bytes));
            store_.device().copy_in(copy[i], host.data(), bytes);
        }
        std::vector<kernels::SgdRange<T>> pieces;
        add_pieces(pieces, range, copy[0], copy[1], nullptr);
        kernels::sgd<T>(kernel_stream(store_.device()), step_at(0), pieces);
        store_.device().copy_out(out, copy[0], bytes);
    });
}

}  // namespace nascent
