#include "engine/base/error.h"
#include "nas/algo/darts_optimum.h"

namespace nascent {

using darts::CellCode;
using darts::kInputs;
using darts::kNodes;

std::vector<CellCode> darts_wirings(const darts::EdgeOperators& operators) {
    std::vector<CellCode> open = {CellCode{}};
    for (int node = 0; node < kNodes; ++node) {
        std::vector<CellCode> longer;
        for (const CellCode& cell : open) {
            for (int a = 0; a < kInputs + node; ++a) {
                for (int b = a + 1; b < kInputs + node; ++b) {
                    CellCode with = cell;
                    bool possible = true;
                    for (int from = 0; from < kInputs + node; ++from) {
                        const auto e = static_cast<std::size_t>(darts::edge_index(node, from));
                        const bool used = from == a || from == b;
                        with[e] = used;
                        possible &= !used || operators[e].back() != 0;
                    }
                    if (possible) longer.push_back(with);
                }
            }
        }
        NASCENT_CHECK(!longer.empty(), usage, "node {} cannot have two inputs with the operators that are left", node);
        open = std::move(longer);
    }
    return open;
}

}  // namespace nascent
