// The angle between the initial and the trained weights of architectures of the DARTS space (AngleNAS, ECCV 2020;
// RLNAS, CVPR 2021), from sums kept per cell, edge and operator. The weight vector of an architecture is, cell by cell,
// the concatenation of the operators on every path of the cell, and once the fixed blocks; so an operator counts as
// often as paths run over its edge, which a count over the nodes gives without listing paths.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nas/metric/angle.h"
#include "nas/space/darts_code.h"

namespace nascent::darts {

/// Sums of a supernet and its initial weights, apart wherever a rule may take one and leave the other.
struct AngleParts {
    struct Op {
        AngleSums conv, norm_weight, norm_bias;  // all convolutions; weights and biases of all batch norms
    };
    struct Cell {
        int channels = 0;
        bool reduction = false;
        std::array<std::array<Op, kPrimitives>, kEdges> ops{};
    };
    std::vector<Cell> cells;
    AngleSums fixed_conv, fixed_norm;  // stems and preprocessing
    AngleSums classifier_weight, classifier_bias;
};

/// What counts, and how often. All of it changes angles; the four published programs are the functions below.
struct AngleSwitches {
    /// Nodes that paths end in: each of the four (30 paths, RLNAS) or the last (16 paths, AngleNAS).
    enum class Ends { every_node, last_node };
    enum class Identity { none, eye };  // a skip of stride 1: nothing, or the C x C identity matrix
    Ends ends = Ends::every_node;
    Identity identity = Identity::eye;
    bool strided_skip = true;     // the convolutions (and norm) of a skip of stride 2
    bool pool = true;             // a pool is C kernels of 3 x 3 elements 1/9
    bool pool_norm = true;        // and the batch norm behind it
    bool op_norms = true;         // batch norms of convolutions and of strided skips
    bool dil_norm_twice = true;   // with op_norms: a dil_conv's norm weight counts twice, its bias never (as published)
    bool fixed_norms = true;      // batch norms of stems and preprocessing
    bool classifier_bias = true;  // besides its weight

    static AngleSwitches rlnas_imagenet() { return {}; }
    static AngleSwitches rlnas_cifar10() { return {.classifier_bias = false}; }
    /// DARTS and P-DARTS: convolutions, pools and the classifier's weight alone, 16 paths.
    static AngleSwitches anglenas() {
        return {.ends = Ends::last_node,
                .identity = Identity::none,
                .strided_skip = false,
                .pool_norm = false,
                .op_norms = false,
                .dil_norm_twice = false,
                .fixed_norms = false,
                .classifier_bias = false};
    }
    bool operator==(const AngleSwitches&) const = default;
};
/// `rlnas-cifar10 | rlnas-imagenet | anglenas`; throws ErrorKind::usage with the nearest name.
AngleSwitches angle_switches(std::string_view name);

/// On how many paths each edge lies that are free of `none` (0) and begin in one of the two inputs.
std::array<int, kEdges> edge_multiplicities(const CellCode& cell, AngleSwitches::Ends ends);

class Angle {
  public:
    /// What an operator on an edge adds for each path over it. `ninths`: constants, in ninths, that all three sums get
    /// (pools C, identities 9 C), whole numbers, so that where they stand changes no bit.
    struct Entry {
        double dot = 0, n0 = 0, n1 = 0, ninths = 0;
    };
    using CellTable = std::array<std::array<Entry, kPrimitives>, kEdges>;

    /// Throws ErrorKind::data where there are no cells or one has no channels.
    Angle(const AngleParts& parts, const AngleSwitches& switches);
    AngleSums sums(const Code& code) const;
    double angle(const Code& code) const { return angle_of(sums(code)); }
    /// What one cell of a code adds.
    AngleSums sums(const CellCode& cell, bool reduction) const;

    const CellTable& table(bool reduction) const { return table_[reduction]; }
    const AngleSums& fixed() const { return fixed_; }
    const AngleSwitches& switches() const { return switches_; }

  private:
    void add(Entry& total, const CellCode& cell, bool reduction) const;
    AngleSwitches switches_;
    std::array<CellTable, 2> table_{};
    AngleSums fixed_;
};

}  // namespace nascent::darts
