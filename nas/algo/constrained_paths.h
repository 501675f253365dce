// Uniform draws from the paths that keep to several constraints at once.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nas/algo/path_counts.h"

namespace nascent {

struct Constraint {
    std::string name;  // for messages: "MACs (mac)"
    PathCosts costs;
    CostRange range;
};

/// Draws exactly uniformly. The constraint that fewest paths meet is met by construction (PathRange); the others by
/// drawing again, or, where that would take long, from a list of all legal paths, found by branch and bound.
class ConstrainedPaths {
  public:
    /// Throws ErrorKind::usage for no constraint, constraints over different blocks, and where no path is legal: then
    /// the message tells the nearest costs that can be reached. Throws ErrorKind::runtime where several constraints
    /// together are met so rarely that neither way finds an end. Costs too finely grained for PathCounts are no error
    /// as long as others are not.
    explicit ConstrainedPaths(std::vector<Constraint> constraints);

    /// A pure function of its arguments; the path has a choice per block.
    std::vector<int> draw(std::uint64_t seed, RandomStream stream, std::uint64_t step) const;
    /// The same of the legal paths whose choices are all among `allowed` (of each block, rising). Nothing where there
    /// is none, or where, of several constraints, none turned up in some thousand draws.
    std::optional<std::vector<int>> draw_within(const std::vector<std::vector<int>>& allowed, std::uint64_t seed,
                                                RandomStream stream, std::uint64_t step) const;
    bool legal(std::span<const int> path) const;
    /// The number of legal paths where it is known: with one constraint, and from a list.
    std::optional<PathCount> count() const;
    int blocks() const { return constraints_.front().costs.blocks(); }
    /// The number of choices of a block.
    std::size_t choices(int block) const { return constraints_.front().costs.choices(block).size(); }

  private:
    bool meets_others(std::span<const int> path) const;
    bool probe() const;
    void list_all();
    std::optional<std::vector<int>> draw_listed(const std::vector<std::vector<int>>& allowed,
                                                RandomIndex& random) const;

    std::vector<Constraint> constraints_;
    std::size_t exact_ = 0;  // the constraint that is met by construction
    std::optional<PathRange> range_;
    std::vector<int> list_;  // of all legal paths, one after the other
    bool listed_ = false;
};

/// The least and the largest cost under `other` of paths whose cost under `counted` is in `range`; nothing where there
/// is no such path. Throws ErrorKind::usage as PathCounts does.
std::optional<CostRange> reachable(const PathCosts& counted, const CostRange& range, const PathCosts& other);

}  // namespace nascent
