// Exact parameter and multiply-accumulate counts of chains, as a whole and block by block.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/io/json_text.h"
#include "nas/space/chain_net.h"
#include "nas/space/path_costs.h"

namespace nascent::chain {

/// How papers of these spaces count the "FLOPs" of one picture. A limit means something in its own convention only.
enum class MacConvention {
    mac,      ///< weights of convolutions and the classifier, times output places: SPOS (330M)
    thop,     ///< AngleNAS and RLNAS (475M): as `mac`, (2 x inputs - 1) x outputs for the classifier
    mmrazor,  ///< `mac`, 2 per output of a BN, 1 per output of an activation and per input of a pooling (330M, 465M)
};
inline constexpr std::array<std::string_view, 3> kMacConventions = {"mac", "thop", "mmrazor"};
/// Throws ErrorKind::usage with the nearest name.
MacConvention mac_convention(std::string_view name);

/// One network for one picture.
struct Cost {
    std::int64_t params = 0;
    std::int64_t norm_params = 0;  // the part of params in BNs
    std::int64_t conv_macs = 0, linear_macs = 0;
    std::int64_t linear_additions = 0;  // of the classifier: (inputs - 1) x outputs
    std::int64_t batch_norm_outputs = 0, activation_outputs = 0, pool_inputs = 0;
    int convs = 0, batch_norms = 0, activations = 0;

    std::int64_t macs(MacConvention convention = MacConvention::mac) const;
    Cost& operator+=(const Cost& other);
};

Cost cost_of(const Layer& layer);
Cost cost_of(const std::vector<Layer>& layers);
/// {"mac":...,"thop":...,"mmrazor":...}
JsonObject macs_json(const Cost& cost);
/// What programs print of an architecture: space, text, published name, inner widths where channels are searched,
/// parameters, MACs in every convention.
JsonObject cost_json(const Space& space, const Architecture& arch);

/// What may stand at a place of the chain.
struct Choice {
    int op;
    int scale = kUnscaled;
    bool operator==(const Choice&) const = default;
};
/// Per block; a path says which of them, by number.
using Choices = std::vector<std::vector<Choice>>;
/// Of each block, all its operators.
std::vector<std::vector<int>> all_operators(const Space& space);
/// All of the space, operators in the order of Block::ops, each with all its scales.
Choices all_choices(const Space& space);
/// Shrunk: only these operator ids per block. Throws ErrorKind::usage for a block without one, or with one twice or not
/// of the space.
Choices choices_of(const Space& space, const std::vector<std::vector<int>>& ops);
/// Throws ErrorKind::usage naming the block for an operator that is no choice.
std::vector<int> path_of(const Space& space, const Choices& choices, const Architecture& arch);
Architecture architecture_of(const Space& space, const Choices& choices, std::span<const int> path);

/// Parameters (`convention` none) or MACs of subnets as a sum over their blocks.
PathCosts path_costs(const Space& space, const Choices& choices, std::optional<MacConvention> convention);

}  // namespace nascent::chain
