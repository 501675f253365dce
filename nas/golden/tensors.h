// Tensors and networks as golden files fill them.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/autograd/execution.h"
#include "nas/supernet/darts.h"

namespace nascent::golden {

/// A number in a key; throws Error(data) where it is too large.
int number(const std::string& text);

/// (n, c, h, w) as PyTorch has it to NHWC on the device, and back (other ranks as they are).
Tensor to_device(const std::vector<double>& nchw, int n, int c, int h, int w);
std::vector<double> from_device(const Tensor& t);
double scalar(const Tensor& t);
Tensor constant(double value);

/// (3i + 1 + shift) mod classes.
Tensor labels_of(int n, int classes, int shift = 0);

/// Weights, buffers and alphas of a DARTS network by the rule of the files.
void fill_net(DartsNet& net);
/// The gradient of a parameter by name; throws Error(data) where there is none.
Tensor gradient(const DartsNet& net, const Tape& tape, const std::string& name);
/// The norm of the gradients of all parameters but the alphas.
double weight_norm(const DartsNet& net, const Tape& tape);

}  // namespace nascent::golden
