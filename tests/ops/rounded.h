// What activations stored as bf16 do to numbers, in float64: a reference whose values and gradients are rounded where
// the gpu's kernels round them, and between those places computed to twice as many digits.
#pragma once
#include <functional>
#include <map>
#include <random>

#include "engine/autograd/execution.h"
#include "ops/rounding.h"
#include "tests/ops/case_runner.h"

namespace nascent::testing {

/// To 10 bits of fraction, ties away from zero, as cvt.rna.tf32.
inline double to_tf32(double v) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(v));
    return std::bit_cast<float>((bits + 0x1000u) & ~0x1fffu);
}
inline double round_to(double v, RoundTo type) {
    return type == RoundTo::bf16 ? of_bf16(to_bf16(v)) : type == RoundTo::tf32 ? to_tf32(v) : v;
}

/// On the cpu, in float64. With `disturbed` each number is off by at most that part of it behind every place; a
/// gradient that is not stored, where a batch-norm's three terms may have cancelled, by that part of its tensor's
/// largest.
/// `roundings`: what is stored, and what each other rounding changed, filled by a model that is not disturbed; one that
/// is then repeats them and does not round anew.
class RoundedModel : public Rounding {
  public:
    explicit RoundedModel(double disturbed = 0, unsigned seed = 0, Numbers* roundings = nullptr)
        : disturbed_(disturbed), random_(seed), roundings_(roundings) {}

    Tensor rounded(const Tensor& x, RoundTo value, RoundTo gradient) override {
        Tensor y = empty(x.shape, x.dtype);
        move(x, y, value, false, false, value == RoundTo::bf16);
        if (Tape* tape = current_tape(); tape && x.id.wanted()) {
            const Tensor inputs[] = {x};
            y.id = tape->record("rounded", inputs, y, [this, gradient](const Tensor& dy, std::span<Into> into) {
                if (into[0]) move(dy, into[0].grad, gradient, into[0].accumulate(), gradient != RoundTo::bf16, false);
            });
            if (y.id.value <= newest_) last_.clear();  // another tape
            newest_ = y.id.value;
        }
        return y;
    }
    Tensor read(const Tensor& x) override {
        if (!x.id.wanted()) return x;
        const auto last = last_.find(x.data);
        Tensor y = rounded(last == last_.end() ? x : last->second, RoundTo::nothing, RoundTo::bf16);
        last_[x.data] = y;
        return y;
    }
    Tensor kept_for_norm(const Tensor& y, const Tensor& z, double eps) override {
        Tensor state = empty(y.shape, y.dtype);
        move(y, state, RoundTo::bf16, false, false, true);
        if (Tape* tape = current_tape(); tape && z.id.wanted()) {
            const Tensor inputs[] = {z};
            state.id = tape->record("kept for norm", inputs, state,
                                    [this, state, z, eps](const Tensor& dy, std::span<Into> into) {
                                        const Tensor g = empty(dy.shape, dy.dtype);
                                        move(dy, g, RoundTo::bf16, false, false, false);
                                        if (into[0]) through_norm(g.span<double>(), state, z, eps, into[0]);
                                    });
        }
        return state;
    }

  private:
    static void through_norm(std::span<const double> g, const Tensor& state, const Tensor& z, double eps,
                             const Into& into) {
        const std::span<const double> y = state.span<double>(), x = z.span<double>();
        double* const dz = into.as<double>();
        const auto c = static_cast<std::size_t>(z.shape[3]), pixels = x.size() / c;
        const auto n = static_cast<double>(pixels);
        for (std::size_t k = 0; k < c; k++) {
            double mean = 0, variance = 0, sum = 0, dot = 0;
            for (std::size_t i = k; i < x.size(); i += c) mean += x[i] / n, sum += g[i] / n, dot += g[i] * y[i] / n;
            for (std::size_t i = k; i < x.size(); i += c) variance += (x[i] - mean) * (x[i] - mean) / n;
            for (std::size_t i = k; i < x.size(); i += c) {
                const double d = (g[i] - sum - y[i] * dot) / std::sqrt(variance + eps);
                dz[i] = into.accumulate() ? dz[i] + d : d;
            }
        }
    }
    void move(const Tensor& from, const Tensor& to, RoundTo type, bool accumulate, bool of_largest, bool is_stored) {
        const std::span<const double> a = from.span<double>();
        double* const b = to.as<double>();
        double largest = 0;
        for (double v : a) largest = std::max(largest, std::abs(v));
        std::uniform_real_distribution<double> error(-disturbed_, disturbed_);
        for (std::size_t i = 0; i < a.size(); i++) {
            double v = round_to(a[i], type);
            const bool repeats = roundings_ && disturbed_ > 0;
            if (repeats)
                v = is_stored ? roundings_->at(next_++) : a[i] + roundings_->at(next_++);
            else if (roundings_)
                roundings_->push_back(is_stored ? v : v - a[i]);
            // What is stored is what it was, so that maxima of equals are.
            if (disturbed_ > 0 && !(repeats && is_stored)) v += error(random_) * (of_largest ? largest : v);
            b[i] = accumulate ? b[i] + v : v;
        }
    }
    double disturbed_;
    std::mt19937 random_;
    Numbers* roundings_;
    std::size_t next_ = 0;
    int newest_ = -1;
    std::map<const void*, Tensor> last_;  // what the next reader of a tensor reads
};

}  // namespace nascent::testing
