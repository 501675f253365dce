// The network's end: batch-norm apply, ReLU and global average pool in one pass; linear; softmax cross-entropy.
#pragma once
#include "kernels/node.h"

namespace nascent::kernels {

/// pooled (n, c) = mean over pixels of max(0, x * scale + shift).
template <class S>
void norm_relu_pool(const Stream&, const Image&, const S* x, const Compute<S>* scale, const Compute<S>* shift,
                    Compute<S>* pooled);

/// Sums for batch-norm's backward: with g = dpooled / (h w) where x * scale + shift > 0, else 0:
/// sums[0..c) = sum of g, sums[c..2c) = sum of g * x. `workspace` as norm_sums_workspace with terms = 1.
template <class S>
void norm_relu_pool_backward_sums(const Stream&, const Image&, const S* x, const Compute<S>* scale,
                                  const Compute<S>* shift, const Compute<S>* dpooled, double* sums, void* workspace);

/// dx (+)= g * a + x * b + c with g as above and per-channel a, b, c.
template <class S>
void norm_relu_pool_backward(const Stream&, const Image&, const S* x, const Compute<S>* scale, const Compute<S>* shift,
                             const Compute<S>* dpooled, const Compute<S>* a, const Compute<S>* b, const Compute<S>* c,
                             S* dx, bool accumulate);

/// y (n, out) = x (n, in) * w (out, in)^T + bias (out); bias may be null.
template <class T>
void linear_forward(const Stream&, int n, int in, int out, const T* x, const T* w, const T* bias, T* y);
/// Each of dx, dw, dbias may be null: not wanted. accumulate_* as in conv_backward.
template <class T>
void linear_backward(const Stream&, int n, int in, int out, const T* x, const T* w, const T* dy, T* dx,
                     bool accumulate_dx, T* dw, bool accumulate_dw, T* dbias, bool accumulate_dbias);

/// loss[0] = mean over the batch of the cross-entropy between softmax(logits) and (1 - smoothing) * onehot + smoothing
/// / classes; probabilities (n, classes) = softmax(logits), kept for the backward. A label outside [0, classes) makes
/// the loss and its row of probabilities not-a-number. `workspace` as cross_entropy_workspace.
template <class T>
void cross_entropy_forward(const Stream&, int n, int classes, const T* logits, const int* labels, T smoothing, T* loss,
                           T* probabilities, void* workspace);
/// Bytes of workspace for cross_entropy_forward.
std::size_t cross_entropy_workspace(const Stream&, int n);
/// dlogits (+)= dloss[0] * (probabilities - target) / n.
template <class T>
void cross_entropy_backward(const Stream&, int n, int classes, const T* probabilities, const int* labels, T smoothing,
                            const T* dloss, T* dlogits, bool accumulate);

}  // namespace nascent::kernels
