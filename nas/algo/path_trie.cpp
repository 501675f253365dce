#include "nas/algo/path_trie.h"

#include <algorithm>

namespace nascent {
namespace {

bool same(const ChainPiece& a, const ChainPiece& b) {
    return a.part == b.part && a.block == b.block && a.op == b.op && a.scale == b.scale;
}

}  // namespace

PathTrie::PathTrie(const ChainNet& net, std::span<const chain::Architecture> candidates, bool share) {
    for (std::size_t c = 0; c < candidates.size(); c++) {
        int at = -1;
        std::vector<int>& path = paths.emplace_back();
        for (const ChainPiece& piece : net.pieces(candidates[c])) {
            const std::vector<int>& next = at < 0 ? roots : nodes[static_cast<std::size_t>(at)].children;
            const auto found = std::find_if(next.begin(), next.end(), [&](int n) {
                return share && same(nodes[static_cast<std::size_t>(n)].piece, piece);
            });
            if (found != next.end()) {
                path.push_back(at = *found);
                continue;
            }
            const auto made = static_cast<int>(nodes.size());
            nodes.push_back({piece, {}, {}});
            (at < 0 ? roots : nodes[static_cast<std::size_t>(at)].children).push_back(made);
            path.push_back(at = made);
        }
        nodes[static_cast<std::size_t>(at)].candidates.push_back(static_cast<int>(c));
    }
}

std::vector<int> PathTrie::width() const {
    std::vector<int> counts;
    for (std::vector<int> level = roots; !level.empty();) {
        counts.push_back(static_cast<int>(level.size()));
        std::vector<int> below;
        for (int n : level) {
            const std::vector<int>& children = nodes[static_cast<std::size_t>(n)].children;
            below.insert(below.end(), children.begin(), children.end());
        }
        level = std::move(below);
    }
    return counts;
}

}  // namespace nascent
