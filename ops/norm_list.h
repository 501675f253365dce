// The batch-norms of several convolutions, and what their gradients leave, in one launch each (kernels/node_list.h).
#pragma once
#include "kernels/node_list.h"
#include "ops/norm_args.h"

namespace nascent {

/// NormState::finish of a training batch, as one of a list.
template <class T>
kernels::NormFinish<T> finish_of(const NormState& state, const NormArgs& args, std::size_t count,
                                 const kernels::HeldSums& sums, const Tensor& gamma, const Tensor& beta);

/// NormGradient::make as one of a list: takes memory for the map `g`; what computes it.
template <class T>
kernels::NormFoldOf<T> fold_of(NormGradient& g, const NormArgs& args, const NormState& state, std::size_t count,
                               const Tensor& gamma, const Into& dgamma, const Into& dbeta);

/// Around one call of conv_forward or norm_backward_sums whose workspace is kept: leaves the second stage of its sums
/// to a kernel that takes several. Nothing where `held` is false.
class HeldSums {
  public:
    HeldSums(const kernels::Stream& stream, bool held);
    ~HeldSums();
    HeldSums(const HeldSums&) = delete;
    HeldSums& operator=(const HeldSums&) = delete;
    kernels::HeldSums take(const double* sums);

  private:
    kernels::Stream stream_;
    bool held_;
};

/// state.finish() of what a conv_forward within `held` has left, or has not: `sums` are what it was given.
void finish_held(NormState& state, const NormArgs& args, std::size_t count, HeldSums& held, const double* sums,
                 const Tensor& gamma, const Tensor& beta);

/// The same around calls of conv_backward, whose weights' gradients are there after add().
template <class T>
class HeldGradients {
  public:
    HeldGradients(const kernels::Stream& stream, bool held);
    ~HeldGradients();
    HeldGradients(const HeldGradients&) = delete;
    HeldGradients& operator=(const HeldGradients&) = delete;
    void add();

  private:
    kernels::Stream stream_;
    bool held_;
};

}  // namespace nascent
