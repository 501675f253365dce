// What needs no launch of its own: batch-norms are finished by the launch that makes their sums, and what the gradients
// of a node's convolutions leave is added in one launch for all of them.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/node.h"
#include "kernels/norm.h"

namespace nascent::kernels {

/// From now on conv_backward of this thread may leave weights' gradients to add_gradients(), until which workspaces are
/// kept. No call in between reads them.
template <class T>
void hold_gradients(const Stream&);
template <class T>
void add_gradients(const Stream&);
/// Ends it without them.
template <class T>
void forget_gradients(const Stream&);

/// A batch-norm from the sums of z and of z^2: what norm_finish takes.
template <class T>
struct NormFinish {
    NormShape shape;
    const T *gamma, *beta;
    T *running_mean, *running_var;
    double *mean, *rstd;
    T *scale, *shift;
};
/// The next conv_forward, picture_conv_forward or channel_sums of this thread that is given these `sums` may finish the
/// norm in its own launch, and leaves `sums` as they are then.
template <class T>
void offer_finish(const Stream&, const double* sums, const NormFinish<T>& norm);
/// Ends the offer. Whether it was taken; if not, `sums` are there and norm_finish is the caller's.
template <class T>
bool finish_taken(const Stream&);

/// What norm_fold takes of one of several batch-norms with one gradient g.
template <class T>
struct NormFoldOf {
    NormShape shape;
    const double *mean, *rstd;
    const T* gamma;
    T *scale, *slope, *shift, *dgamma, *dbeta;
    bool accumulate_dgamma, accumulate_dbeta;
};
/// The same of the next norm_backward_sums, which has as many z, or norm_relu_pool_backward_sums: norm_fold of each,
/// in turn. `folds` must live until folds_taken().
template <class T>
void offer_folds(const Stream&, const double* sums, std::span<const NormFoldOf<T>> folds);
template <class T>
bool folds_taken(const Stream&);

/// What node_input_gradient takes of one of a node's inputs.
template <class S>
struct NodeInput {
    S* dx;
    bool skip, pool, accumulate;
};
/// node_input_gradient of each; all dx are different.
template <class S>
void node_input_gradients(const Stream&, const Image&, const S* dy, std::span<const NodeInput<S>> inputs);

}  // namespace nascent::kernels
