// A cell of the DARTS space as one op: two preprocessings, the states, the edges with all their operators at once, each
// weighed, and the nodes that sum them (Liu et al., DARTS, arXiv 1806.09055, section 2; quark0/darts
// cnn/model_search.py).
#pragma once
#include <cstdint>
#include <vector>

#include "ops/norm_args.h"

namespace nascent {

enum class CellOpKind {
    none,       // adds nothing
    max_pool,   // 3x3, batch-norm
    avg_pool,   // 3x3, padding not counted, batch-norm
    skip,       // the state itself; with stride 2 ReLU, two 1x1 side by side (FactorizedReduce), batch-norm
    separable,  // twice ReLU, depthwise k x k, 1x1, batch-norm; the stride is the first one's
    dilated,    // ReLU, depthwise k x k of dilation 2, 1x1, batch-norm
    bypass,     // of partial channels: those that no other operator sees; with stride 2 the maximum of 2x2
};

struct CellOp {
    CellOpKind kind;
    int k = 0;
    int weight = -1;  // element of the weights; -1: 1
    bool operator==(const CellOp&) const = default;
};

/// Edges that leave one state have one stride. States 0 and 1 are the preprocessed inputs.
struct CellEdge {
    int from, to, stride;
    std::vector<CellOp> ops;
    bool operator==(const CellEdge&) const = default;
};

struct CellShape {
    bool reduce_before = false;  // the first input is twice as large: FactorizedReduce instead of ReLU, 1x1
    int channels = 0;            // of a state
    int nodes = 0;               // states 2 .. nodes + 1; each has an edge
    std::vector<CellEdge> edges;
    // PC-DARTS (arXiv 1907.05737, section 3.1): operators see a state's first channels / partial, the others go round
    // them (each edge has one `bypass`), and a node's sum of both, side by side, is shuffled in `partial` groups.
    int partial = 1;
    bool shuffle = true;
    // (nodes, channels), with partial > 1 and shuffle: instead of in groups a node's channels are shuffled in an order
    // of its own: channel i is channel order[i] of the sums.
    std::vector<std::uint16_t> order = {};
    bool affine = false;  // batch-norms have gamma and beta, those behind the pools too
    bool operator==(const CellShape&) const = default;
};

/// Running statistics of one batch-norm, (channels) each; undefined: none are kept.
struct CellNorm {
    Tensor mean, variance;
    bool operator==(const CellNorm&) const = default;
};

/// before (n, h, w, c0), twice as high and wide with `reduce_before`, previous (n, h, w, c1), to (n, h', w', nodes *
/// channels): the nodes side by side. `weights` (any shape) may be undefined where no op names one.
/// `parameters` and `norms` in this order: the first input's preprocessing, the second's, then those of the edges' ops,
/// edge by edge; of an op in order of computation. Parameters: depthwise (k, k, c), 1x1 (1, 1, c_in, c_out), for a
/// FactorizedReduce two (1, 1, c_in, c_out / 2), that of the even pixels first; of a batch-norm of an affine cell gamma
/// and beta, (c) each. Pools (but for their gamma and beta), ReLU and identity are computed once per state; a branch's
/// output after its batch-norm is never stored. With `copies` it is as many cells of one shape, side by side in the
/// batch: before, previous and the output hold the first copy's pictures, then the second's (n counts all),
/// `parameters` and `norms` likewise; `weights` are shared, and each copy has its own batch statistics. Copies may
/// share running statistics, which move for one after the other. On a gpu all copies take about as many launches as
/// one. Throws Error(runtime) for shapes that do not fit, odd sizes under a FactorizedReduce among them.
Tensor mixed_cell(const CellShape& shape, const Tensor& before, const Tensor& previous, const Tensor& weights,
                  std::span<const Tensor> parameters, std::span<const CellNorm> norms, bool training, int copies = 1);

/// How many parameters and batch-norms an op of an edge has.
int cell_op_parameters(const CellOp& op, int stride, bool affine = false);
int cell_op_norms(const CellOp& op, int stride);

}  // namespace nascent
