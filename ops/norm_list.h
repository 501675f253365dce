// Batch-norms within the launches that make their sums, and what the gradients of several convolutions leave in one
// launch (kernels/node_list.h).
#pragma once
#include <vector>

#include "kernels/node_list.h"
#include "ops/norm_args.h"

namespace nascent {

/// NormGradient::make as one of a list: takes memory for the map `g`; what computes it.
template <class T>
kernels::NormFoldOf<T> fold_of(NormGradient& g, const NormArgs& args, const NormState& state, std::size_t count,
                               const Tensor& gamma, const Into& dgamma, const Into& dbeta);

/// norm_fold of each, with the sums of g and then of g * z of each of them, as norm_backward_sums orders them.
template <class T>
void fold_sums(const kernels::Stream& stream, const double* sums, const std::vector<kernels::NormFoldOf<T>>& folds);

/// Around one call of conv_forward, picture_conv_forward or channel_sums with these sums: the norm of what it makes, in
/// the same launch where the device can. In evaluation, from the running statistics, `sums` are null.
class FinishWithin {
  public:
    FinishWithin(NormState& state, const NormArgs& args, std::size_t count, const double* sums, const Tensor& gamma,
                 const Tensor& beta);
    ~FinishWithin();
    FinishWithin(const FinishWithin&) = delete;
    FinishWithin& operator=(const FinishWithin&) = delete;
    /// After the call.
    void finish();

  private:
    NormState& state_;
    const NormArgs& args_;
    std::size_t count_;
    const double* sums_;
    Tensor gamma_, beta_;
    bool offered_;
};

/// The maps of batch-norms of which call() takes the sums, with norm_backward_sums or norm_relu_pool_backward_sums: in
/// the same launch where the device can. `folds` in the order of its z.
template <class T, class Call>
void fold_within(const kernels::Stream& stream, const double* sums, const std::vector<kernels::NormFoldOf<T>>& folds,
                 Call&& call) {
    struct Offer {
        const kernels::Stream& stream;
        bool open = true;
        ~Offer() {
            if (open) kernels::folds_taken<T>(stream);
        }
    } offer{stream};
    kernels::offer_folds<T>(stream, sums, folds);
    call();
    offer.open = false;
    if (!kernels::folds_taken<T>(stream)) fold_sums<T>(stream, sums, folds);
}

/// Around calls of conv_backward whose workspaces are kept: weights' gradients are there after add(). Nothing where
/// `held` is false.
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
