#include "nas/algo/darts_paths.h"

#include <initializer_list>
#include <numeric>
#include <utility>

#include "engine/base/error.h"

namespace nascent::darts {
namespace {

template <class Draws>
void repair_cell(CellCode& cell, const EdgeOperators& operators, Draws& random) {
    for (int node = 0; node < kNodes; ++node) {
        const int first = edge_index(node, 0), wanted = node;  // of node + 2 edges, all but two
        std::vector<int> none, other;
        for (int e = first; e < first + kInputs + node; ++e)
            (cell[static_cast<std::size_t>(e)] ? other : none).push_back(e);
        const auto found = static_cast<int>(none.size());
        if (found < wanted) {
            for (int i : random.choice(static_cast<int>(other.size()), wanted - found))
                cell[static_cast<std::size_t>(other[static_cast<std::size_t>(i)])] = 0;
        } else if (found > wanted) {
            for (int i : random.choice(found, found - wanted)) {
                const auto e = static_cast<std::size_t>(none[static_cast<std::size_t>(i)]);
                const std::vector<int>& ops = operators[e];
                if (ops.size() < 2) continue;
                const int drawn = random.below(static_cast<int>(ops.size()) - 1);
                cell[e] = static_cast<std::uint8_t>(ops[static_cast<std::size_t>(drawn) + 1]);
            }
        }
    }
}

/// Two inputs and an operator on each for every node, all combinations alike.
CellCode draw_cell(std::uint64_t seed, std::int64_t step, bool reduction) {
    CellCode cell{};
    for (int node = 0; node < kNodes; ++node) {
        const int edges = kInputs + node, pairs = edges * (edges - 1) / 2, ops = kPrimitives - 1;
        const Random r(seed, RandomStream::path, static_cast<std::uint64_t>(step),
                       static_cast<std::uint32_t>(reduction * kNodes + node));
        auto combination = static_cast<int>(r.below(0, static_cast<std::uint32_t>(pairs * ops * ops)));
        int pair = combination / (ops * ops), low = 0;
        for (int left = edges - 1; pair >= left; pair -= left--) ++low;
        const int places[] = {low, low + 1 + pair};
        for (int from : places) {
            cell[static_cast<std::size_t>(edge_index(node, from))] = static_cast<std::uint8_t>(1 + combination % ops);
            combination /= ops;
        }
    }
    return cell;
}

}  // namespace

EdgeOperators all_operators() {
    std::vector<int> ops(kPrimitives);
    std::iota(ops.begin(), ops.end(), 0);
    return EdgeOperators(kEdges, ops);
}

void check_operators(const EdgeOperators& operators) {
    NASCENT_CHECK(operators.size() == kEdges, data, "operators of {} edges; a DARTS cell has {}", operators.size(),
                  kEdges);
    for (std::size_t e = 0; e < operators.size(); ++e) {
        NASCENT_CHECK(!operators[e].empty(), data, "edge {} has no operator left", e);
        for (std::size_t i = 0; i < operators[e].size(); ++i) {
            NASCENT_CHECK(operators[e][i] >= 0 && operators[e][i] < kPrimitives &&
                              (i == 0 || operators[e][i] > operators[e][i - 1]),
                          data, "operator {} of edge {} is {}; expected rising numbers of 0..{}", i, e, operators[e][i],
                          kPrimitives - 1);
        }
    }
}

std::vector<int> PhiloxDraws::choice(int n, int size) {
    std::vector<int> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = order.size(); i-- > 1;)
        std::swap(order[i], order[static_cast<std::size_t>(below(static_cast<int>(i) + 1))]);
    order.resize(static_cast<std::size_t>(size));
    return order;
}

void repair(CellCode& cell, const EdgeOperators& operators, NumpyRandom& random) {
    repair_cell(cell, operators, random);
}
void repair(CellCode& cell, const EdgeOperators& operators, PhiloxDraws& random) {
    repair_cell(cell, operators, random);
}

namespace {

/// Fills cells, each edge by the first draw after a seed of its own; the generator after the last.
NumpyRandom draw_seeded(std::uint64_t seed, std::int64_t step, const EdgeOperators& operators,
                        std::initializer_list<CellCode*> cells) {
    const std::uint64_t genes = cells.size() * kEdges, first = seed + genes * static_cast<std::uint64_t>(step);
    NASCENT_CHECK(step >= 0 && seed <= 0xffffffffu && step <= 0xffffffff && first + genes - 1 <= 0xffffffffu, usage,
                  "seed {}, step {}: NumPy takes no seed above 2^32 - 1; use a smaller one, or paths by counters", seed,
                  step);
    NumpyRandom random(0);
    std::uint64_t next = first;
    for (CellCode* cell : cells) {
        for (std::size_t e = 0; e < kEdges; ++e) {
            random = NumpyRandom(static_cast<std::uint32_t>(next++));
            const int drawn = random.below(static_cast<int>(operators[e].size()));
            (*cell)[e] = static_cast<std::uint8_t>(operators[e][static_cast<std::size_t>(drawn)]);
        }
    }
    return random;
}

}  // namespace

CellCode numpy_training_cell(std::uint64_t seed, std::int64_t step, const EdgeOperators& operators, NumpyRandom* left) {
    CellCode cell{};
    NumpyRandom random = draw_seeded(seed, step, operators, {&cell});
    repair(cell, operators, random);
    if (left) *left = random;
    return cell;
}

Code numpy_training_path(std::uint64_t seed, std::int64_t step, const EdgeOperators& operators) {
    Code code;
    NumpyRandom random = draw_seeded(seed, step, operators, {&code.normal, &code.reduce});
    repair(code.normal, operators, random);
    repair(code.reduce, operators, random);
    return code;
}

Code training_path(std::uint64_t seed, std::int64_t step) {
    return {draw_cell(seed, step, false), draw_cell(seed, step, true)};
}

Code training_path(std::uint64_t seed, std::int64_t step, const EdgeOperators& operators) {
    PhiloxDraws random(seed, RandomStream::path, static_cast<std::uint64_t>(step));
    Code code;
    for (bool reduction : {false, true}) {
        for (std::size_t e = 0; e < kEdges; ++e) {
            const int drawn = random.below(static_cast<int>(operators[e].size()));
            code.cell(reduction)[e] = static_cast<std::uint8_t>(operators[e][static_cast<std::size_t>(drawn)]);
        }
        repair(code.cell(reduction), operators, random);
    }
    return code;
}

}  // namespace nascent::darts
