#include "nas/metric/angle.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"

namespace nascent {

using nb201::Architecture;
using nb201::kEdgeList;
using nb201::kEdges;
using nb201::kNodes;
using nb201::Op;

double angle_of(const AngleSums& s) {
    // std::max returns its first argument when that is NaN, and no comparison below holds for one: NaN stays NaN.
    double cosine = s.dot / std::sqrt(std::max(s.n0 * s.n1, 1e-16));
    if (cosine > 1) cosine = 1;
    if (cosine < -1) cosine = -1;
    return std::acos(cosine);
}

std::array<int, kEdges> edge_multiplicities(const Architecture& arch) {
    std::array<int, kNodes> from_input = {1}, to_output{};
    to_output.back() = 1;
    for (std::size_t e = 0; e < kEdges; ++e) {  // edges are sorted by target: a node is complete before it is used
        auto [to, from] = kEdgeList[e];
        if (arch.ops[e] != Op::none)
            from_input[static_cast<std::size_t>(to)] += from_input[static_cast<std::size_t>(from)];
    }
    for (std::size_t e = kEdges; e-- > 0;) {
        auto [to, from] = kEdgeList[e];
        if (arch.ops[e] != Op::none)
            to_output[static_cast<std::size_t>(from)] += to_output[static_cast<std::size_t>(to)];
    }
    std::array<int, kEdges> times{};
    for (std::size_t e = 0; e < kEdges; ++e) {
        auto [to, from] = kEdgeList[e];
        if (arch.ops[e] == Op::none) continue;
        times[e] = from_input[static_cast<std::size_t>(from)] * to_output[static_cast<std::size_t>(to)];
    }
    return times;
}

Nb201Angle::Nb201Angle(const Nb201AngleTable& table, const AngleRules& rules) : rules_(rules), fixed_(table.fixed) {
    for (std::size_t c = 0; c < table.cells.size(); ++c) {
        const auto& cell = table.cells[c];
        NASCENT_CHECK(cell.channels > 0, data, "angle table: cell {} has {} channels", c, cell.channels);
        for (std::size_t e = 0; e < kEdges; ++e) {
            for (Op op : {Op::nor_conv_1x1, Op::nor_conv_3x3}) {
                ops_[e][static_cast<std::size_t>(op)] += cell.ops[e][static_cast<std::size_t>(op)];
            }
        }
        pool_ += cell.channels;
        eye_ += cell.channels;
    }
    pool_ /= 9;  // C kernels of 9 elements (1/9)^2
    if (!rules.pool) pool_ = 0;
    if (rules.identity == AngleRules::Identity::none) eye_ = 0;
}

double Nb201Angle::angle(const Architecture& arch) const {
    std::array<int, kEdges> times = edge_multiplicities(arch);
    AngleSums sums = fixed_;
    int pools = 0, skips = 0, used = 0;
    // Constants are counted, then added once: architectures that differ only in where they stand tie to the bit.
    for (std::size_t e = 0; e < kEdges; ++e) {
        used += times[e];
        if (times[e] == 0) continue;
        switch (arch.ops[e]) {
            case Op::none:
                break;
            case Op::skip_connect:
                skips += times[e];
                break;
            case Op::avg_pool_3x3:
                pools += times[e];
                break;
            default:
                sums += static_cast<double>(times[e]) * ops_[e][static_cast<std::size_t>(arch.ops[e])];
        }
    }
    if (used == 0) return rules_.blocked == AngleRules::Blocked::zero ? 0.0 : angle_of(fixed_);
    double constant = pools * pool_ + skips * eye_;
    sums += {constant, constant, constant};
    return angle_of(sums);
}

std::vector<double> Nb201Angle::all_angles() const {
    std::vector<double> angles(nb201::kArchitectures);
    for (int id = 0; id < nb201::kArchitectures; ++id)
        angles[static_cast<std::size_t>(id)] = angle(Architecture::from_id(id));
    return angles;
}

}  // namespace nascent
