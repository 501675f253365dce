// Convolutions of one shape side by side, each after a ReLU and with the batch-norm of what it gives: those that leave
// a node, and those of several copies of a network.
#pragma once
#include <span>

#include "kernels/conv.h"

namespace nascent::kernels {

/// z = conv(ReLU(x), w), overwritten, and its batch-norm without gamma and beta from this batch: scale = rstd, shift =
/// -mean * rstd. All four null: not computed (evaluation). Running statistics (null: none) move by `momentum` as
/// torch.nn.BatchNorm2d's.
template <class S>
struct NormedConv {
    const S* x;
    const Compute<S>* w;
    S* z;
    double* mean = nullptr;
    double* rstd = nullptr;
    Compute<S>* scale = nullptr;
    Compute<S>* shift = nullptr;
    Compute<S>* running_mean = nullptr;
    Compute<S>* running_var = nullptr;
    int k = 0;  // of its kernel: 0 stands for the shape's; on the cpu also 1 among those of 3
    // On the cpu the z of a 1x1 (c_out = c_in, stride 1) may be null: then it is not computed, and its statistics
    // follow from `moments` (c_in + 1, c_in), which is written: the sums of products of ReLU(x)'s channels and, last,
    // of the channels themselves. Those of one x have one `moments`.
    double* moments = nullptr;
    const BFloat16* rounded = nullptr;  // as ConvWeights'
};

/// All of them are computed with statistics or all without. Those of one x that stand together read it once. Where some
/// have the same running statistics, those move in the list's order. `workspace` as normed_convs_forward_workspace for
/// as many, 64-byte aligned.
template <class S>
void normed_convs_forward(const Stream&, const ConvShape&, double eps, double momentum,
                          std::span<const NormedConv<S>> convs, void* workspace);
std::size_t normed_convs_forward_workspace(const Stream&, const ConvShape&, std::size_t element, std::size_t count);

/// The gradient dz = fold of dy goes on to da (added to; null: not wanted), masked by the ReLU, and to dw (overwritten,
/// or added to; null: not wanted). Of a 1x1 whose z was not computed fold.z is null: dz goes on to da alone, and dw is
/// null (kernels/mixed.h computes it).
template <class S>
struct NormedConvBackward {
    const S* x;
    const Compute<S>* w;
    const S* dy;
    NormFold<S> fold;
    S* da = nullptr;
    Compute<S>* dw = nullptr;
    bool accumulate_dw = false;
    int k = 0;  // as NormedConv's
    const BFloat16* rounded = nullptr;
};

/// All da are wanted or none. Those of one x may have one da, to which they add in their order, if they stand together;
/// else no two have one da or dw. `workspace` as normed_convs_backward_workspace for as many, 64-byte aligned.
template <class S>
void normed_convs_backward(const Stream&, const ConvShape&, std::span<const NormedConvBackward<S>> convs,
                           void* workspace);
std::size_t normed_convs_backward_workspace(const Stream&, const ConvShape&, std::size_t element, std::size_t count);

}  // namespace nascent::kernels
