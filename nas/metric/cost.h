// Exact parameter and multiply-accumulate counts of NAS-Bench-201 networks, under the conventions papers quote.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/io/json_text.h"
#include "nas/space/nasbench201_net.h"

namespace nascent {

/// How multiply-accumulates (MACs) are counted; BN, ReLU, poolings and sums are free in all three.
enum class CostConvention {
    mac,    ///< weights of convolutions and linear layers: one MAC per weight and output place
    nb201,  ///< the benchmark's own: `mac`, and one per output of a layer with a bias
    thop,   ///< RLNAS: as `nb201` for convolutions, (2 x inputs - 1) x outputs for a linear layer
};
inline constexpr std::array<std::string_view, 3> kCostConventions = {"mac", "nb201", "thop"};
/// Throws ErrorKind::usage with the nearest name.
CostConvention cost_convention(std::string_view name);

/// One network for one picture.
struct Cost {
    std::int64_t params = 0;
    std::array<std::int64_t, kCostConventions.size()> macs{};
    std::int64_t of(CostConvention c) const { return macs[static_cast<std::size_t>(c)]; }
};

/// Counted layer by layer.
Cost cost_of(const std::vector<nb201::Layer>& layers);
/// The stand-alone network of `arch`.
Cost cost_of(const nb201::NetConfig& config, const nb201::Architecture& arch);

/// {"mac":...,"nb201":...,"thop":...}
JsonObject macs_json(const Cost& cost);
/// Space, architecture, parameters and MACs, as programs print them.
JsonObject cost_json(const nb201::Architecture& arch, const Cost& cost);
std::string cost_text(const nb201::Architecture& arch, const Cost& cost);

}  // namespace nascent
