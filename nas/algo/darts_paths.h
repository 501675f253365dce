// Paths of single-path training in the DARTS space: drawn uniformly over the operators that a space still has, then
// repaired so that every node has two inputs (RLNAS, CVPR 2021; AngleNAS, ECCV 2020).
#pragma once
#include <cstdint>
#include <vector>

#include "engine/base/mt19937.h"
#include "engine/base/rng.h"
#include "nas/space/darts_code.h"

namespace nascent::darts {

/// Operators an edge of both cells may have, in the order they are drawn from; `none` first where it is among them.
using EdgeOperators = std::vector<std::vector<int>>;
/// All eight on all 14.
EdgeOperators all_operators();
/// Throws ErrorKind::data unless there are 14 lists, each of one or more different primitives by rising number.
void check_operators(const EdgeOperators& operators);

/// A row of Philox draws with the methods that NumpyRandom has: element 0, 1, 2 ... of (seed, stream, step).
class PhiloxDraws {
  public:
    PhiloxDraws(std::uint64_t seed, RandomStream stream, std::uint64_t step)
        : seed_(seed), stream_(stream), step_(step) {}
    int below(int n) {
        return static_cast<int>(Random(seed_, stream_, step_, element_++).below(0, static_cast<std::uint32_t>(n)));
    }
    /// The first `size` of a shuffle of 0..n-1 (Fisher and Yates, from the end).
    std::vector<int> choice(int n, int size);

  private:
    std::uint64_t seed_;
    RandomStream stream_;
    std::uint64_t step_;
    std::uint32_t element_ = 0;
};

/// Makes the number of `none` 0, 1, 2 and 3 in the four nodes: where there are too few, as many of the other edges as
/// are missing become `none`, chosen without replacement; where there are too many, so many of them are chosen without
/// replacement and each gets one of its edge's operators but the first. An edge whose only operator is `none` keeps it.
/// As published, an edge that has lost `none` never gets its first operator here, and `none` is set where the space has
/// no `none`.
void repair(CellCode& cell, const EdgeOperators& operators, NumpyRandom& random);
void repair(CellCode& cell, const EdgeOperators& operators, PhiloxDraws& random);

/// The path of training step `step` (from 0) of the published code: gene i of the 28 is the first draw after
/// seed(seed + 28 step + i); then the normal and the reduction cell are repaired in turn from the state the last seed
/// left. Throws ErrorKind::usage where a seed leaves 0..2^32-1.
Code numpy_training_path(std::uint64_t seed, std::int64_t step, const EdgeOperators& operators = all_operators());

/// The path of AngleNAS's training, one cell for all: gene i of the 14 is the first draw after seed(seed + 14 step +
/// i), then the cell is repaired. `left`: gets the generator as it is then. Throws as above.
CellCode numpy_training_cell(std::uint64_t seed, std::int64_t step, const EdgeOperators& operators,
                             NumpyRandom* left = nullptr);

/// The same law by counters. In the whole space that is uniform over two inputs for each node and seven operators for
/// each input, and drawn so directly; in a smaller one drawn uniformly and repaired.
Code training_path(std::uint64_t seed, std::int64_t step);
Code training_path(std::uint64_t seed, std::int64_t step, const EdgeOperators& operators);

}  // namespace nascent::darts
