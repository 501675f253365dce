// Where a device that stores activations as bf16 rounds, marked in the references: nothing happens there but while a
// RoundingScope lives, whose owner makes of a float64 reference the model of that device's numbers.
#pragma once
#include "engine/tensor/tensor.h"

namespace nascent {

enum class RoundTo { nothing, tf32, bf16 };

class Rounding {
  public:
    virtual ~Rounding() = default;
    /// x with its value rounded, and on the way back its gradient.
    virtual Tensor rounded(const Tensor& x, RoundTo value, RoundTo gradient) = 0;
    /// x for one more reader, whose gradient is added to what later readers of x left, and stored.
    virtual Tensor read(const Tensor& x) = 0;
    /// y, the batch-norm of z without gamma and beta, rounded; z's gradient is made from it and not from z.
    virtual Tensor kept_for_norm(const Tensor& y, const Tensor& z, double eps) = 0;
};

class RoundingScope {
  public:
    explicit RoundingScope(Rounding& rounding);
    ~RoundingScope();
    RoundingScope(const RoundingScope&) = delete;
    RoundingScope& operator=(const RoundingScope&) = delete;

  private:
    Rounding* before_;
};

/// The innermost scope's; without one x itself.
Tensor rounded(const Tensor& x, RoundTo value, RoundTo gradient);
Tensor read(const Tensor& x);
Tensor kept_for_norm(const Tensor& y, const Tensor& z, double eps);
/// x, written by an op: of its gradient see read().
inline Tensor stored(const Tensor& x) { return rounded(x, RoundTo::bf16, RoundTo::nothing); }
/// What dense convolutions round their factors to.
RoundTo factors_of(std::int64_t c_in, std::int64_t c_out);
/// z of a convolution that `factors` stand for: f(rounded a, rounded w), stored; on the way back its gradient is a
/// factor too.
template <class F>
Tensor product(F&& f, const Tensor& a, const Tensor& w, RoundTo factors) {
    return rounded(f(rounded(a, factors, RoundTo::nothing), rounded(w, factors, RoundTo::nothing)), RoundTo::bf16,
                   factors);
}

}  // namespace nascent
