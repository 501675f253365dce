// Nodes that sum weighed operators of all earlier nodes: NAS-Bench-201's cell with all operators on every edge
// (arXiv 2001.00326, section 2.1; the weights are DARTS's softmaxed architecture parameters).
#pragma once
#include "ops/mixed_cell.h"
#include "ops/sum_node.h"

namespace nascent {

/// One operator of an edge. Node 0 is the input, 0 <= from < to.
struct WeighedTerm {
    EdgeOp op;
    int from, to;
    int weight;  // element of the weights; of a bypass also -1, which stands for 1
    /// conv: (k, k, c, c), k 1 or 3: ReLU, convolution, batch-norm without gamma and beta. constant: (c), what every
    /// pixel is; it has no gradient, and node `from` is not read. bypass: the channels that no operator sees. With
    /// partial channels c counts those that operators see.
    Tensor kernel = {};
    CellNorm norm = {};  // conv
};

/// Partial channels (PC-DARTS, Xu et al., ICLR 2020; DrNAS, Chen et al., ICLR 2021): operators see a node's first
/// channels / of, the others go round them as `bypass` terms. A node's two sums, side by side, are shuffled in `of`
/// groups: its channel i * of + g is channel g * (c / of) + i of the sums.
struct PartialChannels {
    int of = 1;
    bool shuffle = true;
    bool operator==(const PartialChannels&) const = default;
};

/// The last node of x (n, h, w, c). A node's pool is computed once for all edges that leave it, and what a convolution
/// gives after its batch-norm is never stored. Nodes without terms are zero. There are `nodes` nodes with the input, or
/// as many as the terms name. With `copies` it is as many such cells side by side in the batch: x and the output hold
/// the first copy's pictures, then the second's (n counts all), `terms` the first copy's, then the second's, which
/// differ in kernels and running statistics alone; the weights are shared, batch statistics are each copy's. Throws
/// Error(runtime) for terms that do not fit.
Tensor weighed_cell(const Tensor& x, const Tensor& weights, std::span<const WeighedTerm> terms, bool training,
                    int nodes = 0, int copies = 1, const PartialChannels& partial = {});

}  // namespace nascent
