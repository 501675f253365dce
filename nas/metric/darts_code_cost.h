// Costs of DARTS codes from a table: what every candidate has, and what an operator on an edge adds.
#pragma once
#include <array>
#include <cstdint>

#include "nas/metric/darts_cost.h"
#include "nas/space/darts_code.h"

namespace nascent::darts {

struct CodeCosts {
    std::int64_t base = 0;
    /// [reduction][edge][operator], summed over all cells of the kind.
    std::array<std::array<std::array<std::int64_t, kPrimitives>, kEdges>, 2> ops{};

    std::int64_t of(const CellCode& cell, bool reduction) const {
        std::int64_t sum = 0;
        for (std::size_t e = 0; e < kEdges; ++e) sum += ops[reduction][e][cell[e]];
        return sum;
    }
    std::int64_t of(const Code& code) const { return base + of(code.normal, false) + of(code.reduce, true); }
};

/// Multiply-accumulates of the networks of `config` for one picture, without an auxiliary head.
CodeCosts code_costs(const NetConfig& config, MacConvention convention);
/// Parameters, without an auxiliary head. `pool_norms`: pools have an affine batch norm, as in the supernets;
/// stand-alone networks have none.
CodeCosts code_params(const NetConfig& config, bool pool_norms = false);

}  // namespace nascent::darts
