// What the golden files say of every search network of the DARTS space.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "nas/golden/numbers.h"
#include "nas/supernet/darts.h"

namespace nascent::golden {

/// A training step's forward and backward of a filled network over the files' batch, of as many pictures as `expected`
/// has logits: compares logits, loss, wgrad_norm, dalpha_{normal,reduce}, of a network with edge weights
/// dbeta_{normal,reduce}, and nparams. `before` is called with the pictures first.
void check_training(DartsNet& net, Device& device, const nlohmann::json& expected, Report& report,
                    const std::function<void(const Tensor& x)>& before = {});

}  // namespace nascent::golden
