// What the convolutions of a node have in common, in one launch for all of them: the second stage of their sums, their
// batch-norms, and what their gradients leave.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/node.h"
#include "kernels/norm.h"

namespace nascent::kernels {

/// Sums over rows that may not have been added yet: sum j of `count` is that of partials[i * count + j] over the rows,
/// added in `down` runs of every down-th row, then run by run.
struct HeldSums {
    const double* partials;
    std::size_t rows = 1;
    unsigned down = 1;
};

/// From now on conv_forward and norm_backward_sums of this thread may leave their `sums` unwritten and their workspace
/// to take_sums(), which tells where those of the last call are and ends it. On the CPU they are written as ever.
void hold_sums(const Stream&);
HeldSums take_sums(const Stream&, const double* sums);

/// The same of the weights' gradients of conv_backward: they are complete after add_gradients(), until which workspaces
/// are kept. No call in between reads them.
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
    HeldSums sums;
    const T *gamma, *beta;
    T *running_mean, *running_var;
    double *mean, *rstd;
    T *scale, *shift;
};
/// norm_finish of each, of as many channels; in the list's order where some share running statistics.
template <class T>
void norms_finish(const Stream&, std::span<const NormFinish<T>> norms);

/// What norm_fold takes of one of several batch-norms with one gradient g.
template <class T>
struct NormFoldOf {
    NormShape shape;
    const double *mean, *rstd;
    const T* gamma;
    T *scale, *slope, *shift, *dgamma, *dbeta;
    bool accumulate_dgamma, accumulate_dbeta;
};
/// norm_fold of each, with the sums of g and then of g * z of each of them, as norm_backward_sums orders them.
template <class T>
void norms_fold(const Stream&, const HeldSums& sums, std::span<const NormFoldOf<T>> norms);

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
