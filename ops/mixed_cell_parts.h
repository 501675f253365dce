// What a mixed cell's edges are made of, with its memory.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/mixed.h"
#include "ops/mixed_cell.h"

namespace nascent::cell {

/// A batch-norm but for gamma and beta: scale and shift, mean and rstd.
template <class T>
struct Norm {
    T *scale = nullptr, *shift = nullptr;
    double *mean = nullptr, *rstd = nullptr;
};

/// One summand of an edge. Which of its parts there are depends on its kind.
template <class S>
struct EdgeBranch {
    using T = kernels::Compute<S>;
    const CellEdge* edge;
    const CellOp* op;
    std::size_t parameter = 0;  // index of its first input
    std::size_t norm = 0;       // of its first batch-norm
    // Inputs of an affine cell: the gammas, which betas follow; and those of a separable one's second half.
    std::size_t middle_gamma = 0, end_gamma = 0, second = 0;
    // The branch that ends in the node: of a pool the state's, of a separable one the second half. None of an identity.
    kernels::Branch<S> last = {};
    Norm<T> end = {};  // of what reaches the node; of a pool in evaluation the edge's own
    kernels::Branch<S> first = {};
    Norm<T> middle = {};
    bool has_branch() const { return last.c_out > 0; }
    bool pooled() const { return op->kind == CellOpKind::max_pool || op->kind == CellOpKind::avg_pool; }
    bool twice() const { return op->kind == CellOpKind::separable; }
};

/// Channels that go round an edge's operators.
struct Bypass {
    const CellEdge* edge;
    const CellOp* op;
};
/// What stride 2 leaves of a state for them: the maximum of 2 x 2.
template <class S>
struct Halved {
    S* z = nullptr;
    std::uint8_t* tap = nullptr;
};

}  // namespace nascent::cell
