// The DARTS space under a limit on costs. Which two states each node reads (180 ways a cell) settles how many paths run
// over each edge; given that, the eight operators of a cell are chosen independently, and the cells' costs add up.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "nas/algo/darts_paths.h"
#include "nas/algo/largest_angle.h"
#include "nas/metric/darts_angle.h"
#include "nas/metric/darts_code_cost.h"

namespace nascent {

/// Candidates are codes (28 genes) in which every node reads two states by operators their edges may have, all other
/// edges being `none`, which repair() sets where the space has no `none` too. An edge that no path runs over gets the
/// cheapest operator: no other would change the angle.
class DartsProblem : public AngleProblem {
  public:
    /// `angle` must outlive this. max_cost -1: no limit. Throws ErrorKind::usage where no candidate is within the limit
    /// or a node cannot have two inputs, and as darts::check_operators() does.
    DartsProblem(const darts::Angle& angle, const darts::CodeCosts& costs, std::int64_t max_cost,
                 const darts::EdgeOperators& operators = darts::all_operators());
    LinearOptimum minimise(const LinearWeights& weights, bool exact) override;
    bool list(const LinearWeights& weights, double below, std::int64_t budget, const Found& found) override;
    AngleSums least() const override;

  private:
    static constexpr std::size_t kUsed = darts::kNodeInputs * darts::kNodes;  // edges of a cell
    struct Wiring {
        std::array<std::uint8_t, kUsed> edges;
        std::array<double, kUsed> times;  // paths
    };
    struct Choice {
        int op;
        std::int64_t cost;
        double value;  // for one path
    };
    using Choices = std::array<std::vector<Choice>, darts::kEdges>;
    /// What a cell of a cost is worth at least; of rising cost and falling value.
    struct Point {
        std::int64_t cost;
        double value;
        int wiring;
    };
    using Front = std::vector<Point>;
    struct Cell {
        darts::CellCode code;
        std::int64_t cost;
        double value;
    };

    void weigh(const LinearWeights& weights);
    Front front(bool reduction) const;
    Front front_of(const Wiring& wiring, int number, bool reduction) const;
    /// A cell of that point.
    darts::CellCode trace(const Point& point, bool reduction) const;
    /// Cells of a kind below a value and within a cost. `worth(cost)`: what at least is added to a cell of that cost.
    template <class Worth, class Take>
    bool cells(bool reduction, double below, std::int64_t max_cost, std::int64_t& steps, const Worth& worth,
               const Take& take) const;
    std::vector<const Choice*> choices(const Wiring& wiring, std::size_t place, bool reduction) const;

    const darts::Angle& angle_;
    darts::CodeCosts costs_;
    std::int64_t budget_;  // for both cells
    bool limited_;
    std::vector<Wiring> wirings_;
    std::array<Choices, 2> choices_;
    std::array<Front, 2> fronts_;
};

/// All ways to wire a cell, the first node's inputs slowest: 1 where an edge is one of its node's two inputs, which
/// have an operator other than `none` left. Throws Error(usage) where a node cannot have two.
std::vector<darts::CellCode> darts_wirings(const darts::EdgeOperators& operators);

}  // namespace nascent
