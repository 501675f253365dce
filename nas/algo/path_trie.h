// Candidates as a tree: what several begin with is one branch.
#pragma once
#include <span>
#include <vector>

#include "nas/supernet/chain.h"

namespace nascent {

/// The pieces of some paths (stem, blocks, head). What a piece computes, and the statistics of its batch norms over any
/// pictures, depend on the pieces before it alone, so candidates with a common prefix share its nodes.
struct PathTrie {
    struct Node {
        ChainPiece piece;
        std::vector<int> children;    // in the order in which they appeared
        std::vector<int> candidates;  // that end here
    };
    std::vector<Node> nodes;
    std::vector<int> roots;
    std::vector<std::vector<int>> paths;  // by candidate: its nodes, from the stem to the head

    /// `share` false: each candidate has nodes of its own.
    PathTrie(const ChainNet& net, std::span<const chain::Architecture> candidates, bool share);
    PathTrie() = default;
    /// Pieces that a pass over all candidates computes, by depth; without sharing each is the number of candidates.
    std::vector<int> width() const;
};

}  // namespace nascent
