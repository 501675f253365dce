// Exact parameter and multiply-accumulate counts of DARTS networks.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "engine/io/json_text.h"
#include "nas/space/darts_net.h"

namespace nascent::darts {

/// How papers of the space count multiply-accumulates (MACs) of one picture.
enum class MacConvention {
    mac,       ///< weights of convolutions and linear layers
    conv,      ///< of convolutions alone: EvNAS
    pc_darts,  ///< `mac`, two per output of a batch norm, one per output of a ReLU
    thop,      ///< RLNAS and AngleNAS: `conv`, and (2 x inputs - 1) x outputs of a linear layer
};
inline constexpr std::array<std::string_view, 4> kMacConventions = {"mac", "conv", "pc_darts", "thop"};
/// Throws ErrorKind::usage with the nearest name.
MacConvention mac_convention(std::string_view name);

/// One network for one picture in evaluation, which leaves the auxiliary head out: it has its own two figures.
struct Cost {
    std::int64_t params = 0;  // without the auxiliary head, as the original programs print
    std::int64_t auxiliary_params = 0;
    std::int64_t conv_macs = 0;
    std::int64_t depthwise_macs = 0;  // the part of conv_macs of convolutions with one channel a group
    std::int64_t linear_macs = 0;
    std::int64_t linear_outputs = 0;
    std::int64_t auxiliary_macs = 0;
    std::int64_t batch_norm_outputs = 0;
    std::int64_t relu_outputs = 0;
    int batch_norms = 0, auxiliary_batch_norms = 0;

    std::int64_t macs(MacConvention convention = MacConvention::mac) const;
    Cost& operator+=(const Cost& other);
};

Cost cost_of(const Layer& layer);
Cost cost_of(const Net& net);
/// {"mac":...,"conv":...,"pc_darts":...,"thop":...}
JsonObject macs_json(const Cost& cost);
/// One cell: its preprocessing and its edges.
Cost cost_of_cell(const Net& net, int cell);

}  // namespace nascent::darts
