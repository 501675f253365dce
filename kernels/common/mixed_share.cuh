// How the passes over branches share out tiles and branches to blocks.
#pragma once
#include <algorithm>
#include <cstddef>
#include <limits>

namespace nascent::kernels::gpu {

inline constexpr std::size_t kMultiprocessors = 132;   // of an H200
inline constexpr std::size_t kFirstCache = 96 * 1024;  // bytes of weights that a block may read again for each tile
inline constexpr std::size_t kMostTurns = 8, kMostPieces = 12;

/// Branches go to `pieces` blocks, tiles to blocks of `turns` tiles each.
struct Sharing {
    std::size_t pieces = 1, turns = 1;
};

/// What a launch is like: its blocks, what the largest has to do, in tiles times branches, and the bytes that depend on
/// the sharing.
struct SharedWork {
    std::size_t blocks = 0, work = 0, bytes = 0;
    bool refused = false;  // not to be chosen while there is another
    /// Of the multiprocessor that has most.
    std::size_t load() const {
        if (refused) return std::numeric_limits<std::size_t>::max() / 16;
        return (blocks + kMultiprocessors - 1) / kMultiprocessors * work;
    }
    /// What one source has: pieces of `each` branches, rows of blocks.
    struct Of {
        std::size_t pieces, each, rows;
    };
    /// Of `ops` branches and `tiles` tiles: a block has about `few` branches times tiles or more, and at most
    /// `most_rows` blocks are side by side.
    Of add(const Sharing& s, std::size_t ops, std::size_t few, std::size_t tiles, std::size_t most_rows) {
        const std::size_t most = std::clamp<std::size_t>((ops * std::min(s.turns, tiles) + few / 2) / few, 1,
                                                         std::max<std::size_t>(ops, 1)),
                          pieces = std::min(s.pieces, most);
        Of of{};
        of.each = std::max<std::size_t>((ops + pieces - 1) / pieces, 1);
        of.pieces = std::max<std::size_t>((ops + of.each - 1) / of.each, 1);
        of.rows = std::min((tiles + s.turns - 1) / s.turns, most_rows);
        blocks += of.pieces * of.rows;
        work = std::max(work, of.each * ((tiles + of.rows - 1) / of.rows));
        return of;
    }
};

/// The sharing whose load times bytes is least: where one of them falls by some share, the other may rise by as much.
/// work(sharing) is its SharedWork.
template <class F>
Sharing share_out(F&& work) {
    Sharing best;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t pieces = 1; pieces <= kMostPieces; pieces++)
        for (std::size_t turns = 1; turns <= kMostTurns; turns++) {
            const Sharing sharing{pieces, turns};
            const SharedWork w = work(sharing);
            const double cost = static_cast<double>(w.load()) * static_cast<double>(w.bytes);
            if (cost < least) best = sharing, least = cost;
        }
    return best;
}

}  // namespace nascent::kernels::gpu
