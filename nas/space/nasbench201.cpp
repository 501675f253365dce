#include "nas/space/nasbench201.h"

#include <algorithm>
#include <numeric>

#include "engine/base/error.h"
#include "engine/base/mt19937.h"
#include "nas/space/nearest_name.h"

namespace nascent::nb201 {
namespace {

struct OfficialOrder {
    std::vector<int> id_at = std::vector<int>(kArchitectures);     // official index -> lexicographic id
    std::vector<int> index_of = std::vector<int>(kArchitectures);  // lexicographic id -> official index
    OfficialOrder() {
        std::iota(id_at.begin(), id_at.end(), 0);
        PythonRandom(88).shuffle(id_at);
        for (int i = 0; i < kArchitectures; ++i)
            index_of[static_cast<std::size_t>(id_at[static_cast<std::size_t>(i)])] = i;
    }
};

const OfficialOrder& official_order() {
    static const OfficialOrder order;
    return order;
}

std::string join_sorted(std::vector<std::string> terms) {
    std::sort(terms.begin(), terms.end());
    std::string all;
    for (const std::string& t : terms) all += (all.empty() ? "" : "+") + t;
    return all;
}

}  // namespace

Op op_from_name(std::string_view name) { return static_cast<Op>(index_of_name("operator", name, kOpNames)); }

int Architecture::id() const {
    int id = 0;
    for (Op op : ops) id = id * kOps + static_cast<int>(op);
    return id;
}

Architecture Architecture::from_id(int id) {
    NASCENT_CHECK(id >= 0 && id < kArchitectures, usage, "architecture id {} is outside 0..{}", id, kArchitectures - 1);
    Architecture arch;
    for (std::size_t e = kEdges; e-- > 0; id /= kOps) arch.ops[e] = static_cast<Op>(id % kOps);
    return arch;
}

std::string to_string(const Architecture& arch) { return to_string(to_cell(arch)); }

std::string to_tuple(const Architecture& arch) {
    std::string text = "(";
    for (std::size_t e = 0; e < kEdges; ++e) text += fmt::format("{}{}", e ? "," : "", static_cast<int>(arch.ops[e]));
    return text + ")";
}

int official_index(const Architecture& arch) { return official_order().index_of[static_cast<std::size_t>(arch.id())]; }

Architecture from_official_index(int index) {
    NASCENT_CHECK(index >= 0 && index < kArchitectures, usage, "NAS-Bench-201 index {} is outside 0..{}", index,
                  kArchitectures - 1);
    return Architecture::from_id(official_order().id_at[static_cast<std::size_t>(index)]);
}

bool is_connected(const Architecture& arch) {
    std::array<bool, kNodes> reached = {true};
    for (std::size_t e = 0; e < kEdges; ++e) {
        auto [to, from] = kEdgeList[e];
        if (arch.ops[e] != Op::none && reached[static_cast<std::size_t>(from)])
            reached[static_cast<std::size_t>(to)] = true;
    }
    return reached.back();
}

std::string to_string(const CellText& cell) {
    std::string text;
    for (const auto& inputs : cell.nodes) {
        text += text.empty() ? "|" : "+|";
        for (auto [op, source] : inputs) text += fmt::format("{}~{}|", op_name(op), source);
    }
    return text;
}

CellText to_cell(const Architecture& arch) {
    CellText cell;
    for (int to = 1; to < kNodes; ++to) {
        auto& inputs = cell.nodes.emplace_back();
        for (int from = 0; from < to; ++from) inputs.push_back({arch.on(to, from), from});
    }
    return cell;
}

Architecture to_architecture(const CellText& cell) {
    NASCENT_CHECK(cell.nodes.size() == kNodes - 1, usage, "'{}' has {} nodes; NAS-Bench-201 has {} after the input",
                  to_string(cell), cell.nodes.size(), kNodes - 1);
    Architecture arch;
    std::array<bool, kEdges> set{};
    for (std::size_t i = 0; i < cell.nodes.size(); ++i) {
        int to = static_cast<int>(i) + 1;
        for (auto [op, from] : cell.nodes[i]) {
            NASCENT_CHECK(from >= 0 && from < to, usage, "node {} cannot take node {} as input", to, from);
            auto e = static_cast<std::size_t>(edge_index(to, from));
            NASCENT_CHECK(!set[e], usage, "'{}' has two operators on the edge {}<-{}; NAS-Bench-201 has one",
                          to_string(cell), to, from);
            set[e] = true;
            arch.ops[e] = op;
        }
    }
    return arch;
}

std::string unique_string(const CellText& cell, Simplify mode) {
    std::vector<std::string> nodes = {"0"};
    for (const auto& inputs : cell.nodes) {
        std::vector<std::string> terms;
        for (auto [op, source] : inputs) {
            const std::string& from = nodes.at(static_cast<std::size_t>(source));
            if (mode == Simplify::zeros && (op == Op::none || from == "#")) {
                terms.push_back("#");
            } else if (mode != Simplify::plain && op == Op::skip_connect) {
                terms.push_back(from);
            } else {
                terms.push_back(fmt::format("({})@{}", from, op_name(op)));
            }
        }
        nodes.push_back(join_sorted(std::move(terms)));
    }
    return nodes.back();
}

std::string unique_string(const Architecture& arch, Simplify mode) { return unique_string(to_cell(arch), mode); }

}  // namespace nascent::nb201
