// Which of a network's parameters weight decay is of, as published programs choose them.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/memory/parameter_store.h"

namespace nascent {

/// `all`; `convolutions`: their weights alone (RLNAS and AngleNAS on DARTS, whose filter means to have the classifier
/// too and misses its name); `convolutions-classifier`: those and the classifier's weight and bias (their MobileNets).
/// `original`: parameters of more than one dimension (SPOS's program); `mmrazor`: those but depthwise weights;
/// `anglenas`: convolutions-classifier.
const std::vector<std::string>& weight_decay_names();
/// For SgdOptions::decays; null for `all`. Throws Error(usage) with the nearest for another name.
std::function<bool(const Parameter&)> weight_decay_rule(std::string_view name);

}  // namespace nascent
