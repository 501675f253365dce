// The loss of a step as the host sees it.
#pragma once
#include "engine/autograd/tape.h"

namespace nascent {

/// Pictures (n, s, s, 3) and their labels (n), in tensors of the current arena.
struct LabelledBatch {
    Tensor x, labels;
    int pictures() const { return static_cast<int>(labels.size()); }
};

/// Walks the tape back from a loss of shape (1), with cotangent 1; or from the difference of two, plus - minus.
void backward_from(Tape& tape, const Tensor& loss);
void backward_from(Tape& tape, const Tensor& plus, const Tensor& minus);

/// 1 and -1, of shape (1): cotangents that lie on the device already, for work that is captured.
struct Cotangents {
    Tensor one, minus_one;
};
/// The same with these; they are copied there where they are undefined.
void backward_from(Tape& tape, const Tensor& loss, const Cotangents& of);
void backward_from(Tape& tape, const Tensor& plus, const Tensor& minus, const Cotangents& of);

/// Waits for a tensor of shape (1) and reads it.
double read_scalar(const Tensor& t);

/// The loss, read. Throws Error(runtime) where it is not finite, with `advice` on what to try.
double finite_loss(const Tensor& loss, const char* advice);
/// The same of one that was read; returns it.
double finite_loss(double value, const char* advice);

}  // namespace nascent
