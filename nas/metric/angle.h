// The angle between the initial and the trained weights of an architecture (ABS, ECCV 2020; RLNAS, CVPR 2021), from
// sums kept per operator: no weight is read twice and an architecture costs six additions.
#pragma once
#include <array>
#include <vector>

#include "nas/space/nasbench201.h"

namespace nascent {

/// <w0, w1>, |w0|^2 and |w1|^2 of a block of weights, w0 initial, w1 trained.
struct AngleSums {
    double dot = 0, n0 = 0, n1 = 0;
    AngleSums& operator+=(const AngleSums& other) {
        dot += other.dot;
        n0 += other.n0;
        n1 += other.n1;
        return *this;
    }
};
inline AngleSums operator*(double times, const AngleSums& s) { return {times * s.dot, times * s.n0, times * s.n1}; }

/// acos(dot / sqrt(max(n0 n1, 1e-16))) in radians: PyTorch's CosineSimilarity with eps 1e-8. A cosine that rounding
/// lifts above 1 counts as 1 (the original yields NaN there, which happens only to weights that did not move).
double angle_of(const AngleSums& sums);

/// What counts as weights where an operator has none, and what a cell without any path is worth.
struct AngleRules {
    enum class Identity { none, eye };        // nothing, or the C x C identity matrix
    enum class Blocked { zero, fixed_only };  // angle 0 (RLNAS), or the angle of the fixed blocks (AngleNAS)
    bool pool = true;                         // a pooling is C kernels of 3 x 3 elements 1/9
    Identity identity = Identity::none;
    Blocked blocked = Blocked::zero;
};

/// Sums of a NAS-Bench-201 supernet and its initial weights.
struct Nb201AngleTable {
    struct Cell {
        int channels = 0;
        /// By edge and operator; only the entries of nor_conv_1x1 and nor_conv_3x3 are read.
        std::array<std::array<AngleSums, nb201::kOps>, nb201::kEdges> ops{};
    };
    std::vector<Cell> cells;  // the searched ones, 15 in the benchmark's network
    AngleSums fixed;          // stem, reduction blocks, lastact, classifier
};

/// How often each edge lies on a path from node 0 to node 3 that has no `none`: m(k->j) = P(k) S(j), P paths from the
/// input, S paths to the output.
std::array<int, nb201::kEdges> edge_multiplicities(const nb201::Architecture& arch);

/// Angles of architectures whose weight vector is the concatenation, path by path, of the operators on each path in
/// every cell, and once the fixed blocks.
class Nb201Angle {
  public:
    /// Throws ErrorKind::data where a cell has no channels.
    explicit Nb201Angle(const Nb201AngleTable& table, const AngleRules& rules = {});
    double angle(const nb201::Architecture& arch) const;
    /// By lexicographic architecture id.
    std::vector<double> all_angles() const;

  private:
    AngleRules rules_;
    std::array<std::array<AngleSums, nb201::kOps>, nb201::kEdges> ops_{};  // convolutions, summed over cells
    AngleSums fixed_;
    double pool_ = 0, eye_ = 0;  // what one pooling or identity adds to all three sums, over cells
};

}  // namespace nascent
