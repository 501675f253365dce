// A node that sums its incoming edges: convolutions (ReLU, k x k, batch-norm), 3x3 average pools and skips, each of one
// of its sources. NAS-Bench-201's cell node (arXiv 2001.00326, section 2.1), on any path or on all ops at once.
#pragma once
#include "ops/norm_args.h"

namespace nascent {

enum class EdgeOp { skip, conv, pool, constant, bypass };  // the last two: of a weighed_cell alone

struct EdgeTerm {
    EdgeOp op;
    int source;                    // index into the sources
    Tensor weight = {};            // conv: (k, k, c, c); k 1 or 3
    Tensor gamma = {}, beta = {};  // conv: both (c), or both undefined
    NormArgs norm = {};            // conv
};

/// Sum over terms of op(sources[term.source]) in the order given; all sources (n, h, w, c) alike. Without terms: zeros.
/// Each convolution keeps its pre-batch-norm output for the backward, and nothing else is kept.
Tensor sum_node(std::span<const Tensor> sources, std::span<const EdgeTerm> terms);

}  // namespace nascent
