#include "nas/metric/darts_angle.h"

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent::darts {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"rlnas-cifar10", "rlnas-imagenet", "anglenas"};

/// Paths over each edge, in doubles: they multiply doubles, and are small whole numbers.
struct Paths {
    std::array<double, kEdges> times;
    explicit Paths(const CellCode& cell, bool last_node) {
        std::array<double, kInputs + kNodes> from_inputs{1, 1}, to_ends{};
        const double ends_here = last_node ? 0 : 1;
        for (std::size_t e = 0; e < kEdges; ++e) {  // by rising node: a source is complete before it is read
            const auto [node, from] = kEdgePlaces[e];
            const double open = cell[e] != 0;
            from_inputs[static_cast<std::size_t>(kInputs + node)] += open * from_inputs[static_cast<std::size_t>(from)];
        }
        for (std::size_t j = kInputs; j < to_ends.size(); ++j) to_ends[j] = ends_here;
        to_ends.back() = 1;
        for (std::size_t e = kEdges; e-- > 0;) {
            const auto [node, from] = kEdgePlaces[e];
            const double open = cell[e] != 0, onward = to_ends[static_cast<std::size_t>(kInputs + node)];
            to_ends[static_cast<std::size_t>(from)] += open * onward;
            times[e] = open * onward * from_inputs[static_cast<std::size_t>(from)];
        }
    }
};

void add(Angle::Entry& entry, const AngleSums& s) {
    entry.dot += s.dot;
    entry.n0 += s.n0;
    entry.n1 += s.n1;
}

/// What operator `op` of `stride` adds under the switches.
Angle::Entry entry_of(const AngleParts::Op& part, Op op, int stride, int channels, const AngleSwitches& s) {
    Angle::Entry entry;
    auto norms = [&] {
        add(entry, part.norm_weight);
        add(entry, part.norm_bias);
    };
    switch (op) {
        case Op::max_pool_3x3:
        case Op::avg_pool_3x3:
            if (s.pool) entry.ninths = channels;  // 9 C elements (1/9)^2
            if (s.pool_norm) norms();
            break;
        case Op::skip_connect:
            if (stride == 1) {
                if (s.identity == AngleSwitches::Identity::eye) entry.ninths = 9.0 * channels;
            } else if (s.strided_skip) {
                add(entry, part.conv);
                if (s.op_norms) norms();
            }
            break;
        case Op::sep_conv_3x3:
        case Op::sep_conv_5x5:
            add(entry, part.conv);
            if (s.op_norms) norms();
            break;
        case Op::dil_conv_3x3:
        case Op::dil_conv_5x5:
            add(entry, part.conv);
            if (s.op_norms && s.dil_norm_twice) {
                add(entry, part.norm_weight);
                add(entry, part.norm_weight);
            } else if (s.op_norms) {
                norms();
            }
            break;
        default:
            break;
    }
    return entry;
}

AngleSums whole(const Angle::Entry& total) {
    const double constant = total.ninths / 9;
    return {total.dot + constant, total.n0 + constant, total.n1 + constant};
}

}  // namespace

AngleSwitches angle_switches(std::string_view name) {
    if (name == kNames[0]) return AngleSwitches::rlnas_cifar10();
    if (name == kNames[1]) return AngleSwitches::rlnas_imagenet();
    if (name == kNames[2]) return AngleSwitches::anglenas();
    fail(ErrorKind::usage, "no angle is called '{}'; nearest: {}", name.substr(0, 100), nearest_name(name, kNames));
}

std::array<int, kEdges> edge_multiplicities(const CellCode& cell, AngleSwitches::Ends ends) {
    const Paths paths(cell, ends == AngleSwitches::Ends::last_node);
    std::array<int, kEdges> times{};
    for (std::size_t e = 0; e < kEdges; ++e) times[e] = static_cast<int>(paths.times[e]);
    return times;
}

Angle::Angle(const AngleParts& parts, const AngleSwitches& s) : switches_(s), fixed_(parts.fixed_conv) {
    NASCENT_CHECK(!parts.cells.empty(), data, "angle: a network without cells");
    for (std::size_t c = 0; c < parts.cells.size(); ++c) {
        const AngleParts::Cell& cell = parts.cells[c];
        NASCENT_CHECK(cell.channels > 0, data, "angle: cell {} has {} channels", c, cell.channels);
        for (std::size_t e = 0; e < kEdges; ++e) {
            const int stride = cell.reduction && kEdgePlaces[e].from < kInputs ? 2 : 1;
            for (std::size_t op = 0; op < kPrimitives; ++op) {
                const Entry entry = entry_of(cell.ops[e][op], static_cast<Op>(op), stride, cell.channels, s);
                Entry& to = table_[cell.reduction][e][op];
                darts::add(to, {entry.dot, entry.n0, entry.n1});
                to.ninths += entry.ninths;
            }
        }
    }
    fixed_ += parts.classifier_weight;
    if (s.fixed_norms) fixed_ += parts.fixed_norm;
    if (s.classifier_bias) fixed_ += parts.classifier_bias;
}

void Angle::add(Entry& total, const CellCode& cell, bool reduction) const {
    const Paths paths(cell, switches_.ends == AngleSwitches::Ends::last_node);
    const CellTable& table = table_[reduction];
    for (std::size_t e = 0; e < kEdges; ++e) {
        const Entry& entry = table[e][cell[e]];
        const double times = paths.times[e];
        total.dot += times * entry.dot;
        total.n0 += times * entry.n0;
        total.n1 += times * entry.n1;
        total.ninths += times * entry.ninths;
    }
}

AngleSums Angle::sums(const Code& code) const {
    Entry total{fixed_.dot, fixed_.n0, fixed_.n1, 0};
    add(total, code.normal, false);
    add(total, code.reduce, true);
    return whole(total);
}

AngleSums Angle::sums(const CellCode& cell, bool reduction) const {
    Entry total;
    add(total, cell, reduction);
    return whole(total);
}

}  // namespace nascent::darts
