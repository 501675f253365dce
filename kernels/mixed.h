// The passes of a mixed cell (DARTS): branches that leave a state and end in a batch-norm, and nodes that weigh and sum
// what arrives. What a branch gives after its batch-norm is never stored: it is z with a scale and shift per channel.
// So a state is read once for all its branches, and a node once for all its terms. All NHWC; sums of pixels in an order
// fixed by the shapes. Pictures are stored as S; weights, vectors and sums are Compute<S>'s, statistics those of what
// is stored. 1x1 products of BFloat16 have factors of 10 bits of fraction, as tf32's, where channels come in fours.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/element.h"
#include "kernels/stream.h"

namespace nascent::kernels {

/// An affine batch-norm's own scale and shift, (c) each; null: 1 and 0, both or none.
template <class T>
struct GammaBeta {
    const T* gamma = nullptr;
    const T* beta = nullptr;
};

/// Their gradients: overwritten, or added to; null: not wanted.
template <class T>
struct GammaBetaGradient {
    T* gamma = nullptr;
    T* beta = nullptr;
    bool accumulate_gamma = false, accumulate_beta = false;
    bool wanted() const { return gamma || beta; }
};

/// What branches read: a = x * scale + shift per channel (null: a = x), with `affine` a = (x * scale + shift) * gamma +
/// beta. x is (n, h, w, c), `pixel` elements from one
/// pixel to the next: a state may be some channels of a wider tensor.
/// With `fold` > 1 (the cpu only) the channels of 2, 4 or 8 pictures lie side by side in c (kernels/fold.h), and in its
/// branches' c_out, which is c. n counts what is folded.
/// Weights and their gradients are of one picture's channels; vectors of channels (scale, shift, mean, rstd, maps) are
/// as long as c, alike for each picture, and their statistics are those of all pictures. Nothing affine is folded.
template <class S>
struct Source {
    const S* x;
    int h, w, c, pixel;
    const Compute<S>* scale = nullptr;
    const Compute<S>* shift = nullptr;
    int fold = 1;
    GammaBeta<Compute<S>> affine = {};  // with a scale only
};

enum class BranchKind {
    separable,  // ReLU, depthwise k x k with `dilation` and `stride`, 1x1
    pointwise,  // ReLU, 1x1
    reduce,     // ReLU, two 1x1 of half the channels: of pixels (2i, 2j) and of (2i + 1, 2j + 1); h and w are even
    max_pool,   // 3x3, padding 1, with `stride`; of x itself: its source has no scale
    avg_pool,   // the same, padding left out of the mean
};

/// One branch. z is (n, out_h, out_w, c_out); for a pool c_out = c.
template <class S>
struct Branch {
    BranchKind kind;
    int source;  // index into the sources; branches of one source stand together
    int c_out;
    int k = 1, dilation = 1, stride = 1;    // k odd, at most 7
    const Compute<S>* depth = nullptr;      // (k, k, c)
    const Compute<S>* point = nullptr;      // (c, c_out); reduce: (c, c_out / 2) of the even pixels
    const Compute<S>* point_odd = nullptr;  // reduce: (c, c_out / 2) of the odd pixels
    S* z = nullptr;
    std::uint8_t* tap = nullptr;  // max_pool: which of the 9 pixels, row by row: as kernels/pool_plain.h
    // The batch-norm of z without gamma and beta, from this batch: scale = rstd, shift = -mean * rstd. All null: not
    // computed (evaluation).
    double* mean = nullptr;
    double* rstd = nullptr;
    Compute<S>* scale = nullptr;
    Compute<S>* shift = nullptr;

    int out_h(int h) const { return kind == BranchKind::reduce ? h / 2 : (h - 1) / stride + 1; }
    int out_w(int w) const { return out_h(w); }
};

/// z, taps and norms of all branches. `workspace` as branches_forward_workspace, 64-byte aligned.
template <class S>
void branches_forward(const Stream&, int n, double eps, std::span<const Source<S>> sources,
                      std::span<const Branch<S>> branches, void* workspace);
template <class S>
std::size_t branches_forward_workspace(const Stream&, int n, std::span<const Source<S>> sources,
                                       std::span<const Branch<S>> branches);

/// A summand of a node: weight[0] * ((z * scale + shift) * gamma + beta). With a null scale z itself, with a null
/// weight 1, with a null gamma 1 and 0. A null z (the gpu only) stands for zeros: with a scale, a constant.
template <class S>
struct MixedTerm {
    const S* z;
    int pixel;  // elements from pixel to pixel
    const Compute<S>* scale = nullptr;
    const Compute<S>* shift = nullptr;
    const Compute<S>* weight = nullptr;
    GammaBeta<Compute<S>> affine = {};  // with a scale only
};

/// A summand that is not stored (the cpu only): weight[0] * (z * scale + shift) with z = ReLU(x) . w, a 1x1
/// convolution. `w` is (c, c) of one picture's channels; scale and shift are of all c of the node.
template <class S>
struct MixedPoint {
    const S* x;
    int pixel;  // elements from pixel to pixel
    const Compute<S>* w;
    const Compute<S>* scale;
    const Compute<S>* shift;
    const Compute<S>* weight;
};

/// y (pixels, c), `pixel` elements apart, = sum of the terms, in their order, then of the points; y overlaps none of
/// them, but may be the z of the only one.
template <class S>
struct MixedNode {
    S* y;
    int pixel;
    std::span<const MixedTerm<S>> terms;
    std::span<const MixedPoint<S>> points = {};
    int fold = 1;  // as a source's
};

/// Several nodes of one size in one pass; `pixels` counts those of all n pictures.
template <class S>
void nodes_forward(const Stream&, std::size_t pixels, int c, std::span<const MixedNode<S>> nodes);

/// What a node's gradient g is to a branch: dz = g * scale + z * slope + shift per channel.
template <class T>
struct NormMap {
    T* scale = nullptr;
    T* slope = nullptr;
    T* shift = nullptr;
};

/// A term on the way back. `map` (null: not wanted) becomes the weighed norm's gradient: with mean and rstd that of
/// batch statistics, where a z without a scale is what the norm made, (what it read - mean) * rstd; without them
/// (evaluation, or a term that has no norm) scale = weight * gamma * scale and slope = shift = 0. dweight[0]
/// (overwritten; null: not wanted) is the sum of g * ((z * scale + shift) * gamma + beta), gamma's and beta's gradients
/// (of a term with a gamma) are weight * sum of g * (z * scale + shift) and weight * sum of g.
template <class S>
struct MixedTermGradient {
    MixedTerm<S> term;
    const double* mean = nullptr;
    const double* rstd = nullptr;
    NormMap<Compute<S>> map = {};
    Compute<S>* dweight = nullptr;
    GammaBetaGradient<Compute<S>> affine = {};
};

/// A point on the way back, likewise; `map` is always made. `moments` (c + 1, c) of one picture's channels are the sums
/// of products of ReLU(x)'s channels and, last, of the channels themselves; null only where mean is. dw (overwritten or
/// added to; null: not wanted) is w's gradient.
template <class S>
struct MixedPointGradient {
    MixedPoint<S> point;
    const double* mean = nullptr;
    const double* rstd = nullptr;
    const double* moments = nullptr;
    NormMap<Compute<S>> map = {};
    Compute<S>* dweight = nullptr;
    Compute<S>* dw = nullptr;
    bool accumulate_dw = false;
};

template <class S>
struct MixedNodeGradient {
    const S* g;  // of y
    int pixel;
    std::span<const MixedTermGradient<S>> terms;
    int fold = 1;  // as a source's
    std::span<const MixedPointGradient<S>> points = {};
};

/// One read of g and z for the maps and weights of all terms. `workspace` as nodes_backward_workspace.
template <class S>
void nodes_backward(const Stream&, std::size_t pixels, int c, std::span<const MixedNodeGradient<S>> nodes,
                    void* workspace);
template <class S>
std::size_t nodes_backward_workspace(const Stream&, std::size_t pixels, int c,
                                     std::span<const MixedNodeGradient<S>> nodes);

/// One gradient that reaches a branch, through a node's map.
template <class S>
struct BranchGradient {
    const S* g;
    int pixel;
    NormMap<Compute<S>> map;
};

/// A branch on the way back: dz is the sum of its gradients through their maps; separable, pointwise and reduce have
/// one, a pool has one of every edge that shares it. Gradients of weights are overwritten, or added to; null: not
/// wanted.
template <class S>
struct BranchBackward {
    Branch<S> branch;
    std::span<const BranchGradient<S>> gradients;
    Compute<S>* ddepth = nullptr;
    Compute<S>* dpoint = nullptr;
    Compute<S>* dpoint_odd = nullptr;
    bool accumulate_depth = false, accumulate_point = false, accumulate_point_odd = false;
};

/// A gradient that goes round the branches: weight[0] * g (null: g).
template <class S>
struct Skip {
    const S* g;
    int pixel;
    const Compute<S>* weight = nullptr;
};

/// What a source gets: da = the sum of its skips and of what comes through the branches, masked where a ReLU was shut
/// (not-a-number passes). Each pixel is written once; `da` may be one of the skips' g. Null: not wanted.
template <class S>
struct SourceBackward {
    Source<S> source;
    S* da = nullptr;
    int pixel = 0;
    std::span<const Skip<S>> skips;
    // A source with a scale is a branch's z: `map` and `affine` become its norm's gradients, from sums of da and da *
    // x, with `mean` and `rstd` null as in MixedTermGradient. Gamma's and beta's are only made where the map is.
    const double* mean = nullptr;
    const double* rstd = nullptr;
    NormMap<Compute<S>> map = {};
    GammaBetaGradient<Compute<S>> affine = {};
};

/// Branches stand in the order of their sources.
template <class S>
void branches_backward(const Stream&, int n, std::span<const SourceBackward<S>> sources,
                       std::span<const BranchBackward<S>> branches, void* workspace);
template <class S>
std::size_t branches_backward_workspace(const Stream&, int n, std::span<const SourceBackward<S>> sources,
                                        std::span<const BranchBackward<S>> branches);

/// Running statistics of one batch-norm over `count` pixels a batch, c channels.
template <class T>
struct RunningNorm {
    T* running_mean;
    T* running_var;
    const double* mean;  // of the batch
    const double* rstd;
    std::size_t count;
    int c;
    int fold = 1;  // mean and rstd are (c, fold), see Source
};

/// They move by `momentum` towards the mean and the unbiased variance 1 / rstd^2 - eps, as torch.nn.BatchNorm2d's.
template <class T>
void running_update(const Stream&, double eps, double momentum, std::span<const RunningNorm<T>> norms);

/// Evaluation: scale = 1 / sqrt(running_var + eps), shift = -running_mean * scale; (c, fold) each, see Source.
template <class T>
struct RunningScale {
    const T* running_mean;
    const T* running_var;
    T* scale;
    T* shift;
    int c;
    int fold = 1;
};
template <class T>
void running_scales(const Stream&, double eps, std::span<const RunningScale<T>> norms);

}  // namespace nascent::kernels
