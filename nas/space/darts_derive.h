// From architecture parameters to a genotype, and what a genotype says about the search that found it.
#pragma once
#include <span>
#include <vector>

#include "nas/space/darts.h"

namespace nascent::darts {

/// Edges into the nodes of a search cell: node i has one from each of the 2 + i states before it; 14 for four nodes.
constexpr int edge_count(int nodes) { return nodes * (nodes + 2 * kInputs - 1) / 2; }
/// The edge from state `from` to node `node`, 0 <= from < 2 + node.
constexpr int edge_index(int node, int from) { return edge_count(node) + from; }

/// Softmax of each row of `columns` numbers, in double; minus infinity is an operator that was pruned, and gets 0.
/// Throws ErrorKind::runtime naming the edge and the operator where another number is not finite, or all were pruned.
std::vector<double> softmax_rows(std::span<const double> alphas, int columns = kPrimitives);

/// The rule of DARTS (its §2.4) for `weights`, edges by primitives in row-major order: an edge's strength is its
/// largest weight other than that of `none`; the two strongest edges of each node are kept, strongest first, of equals
/// the one from the earlier state; on each the operator of that weight, of equals the first. The weights of `none`
/// count only through the softmax. Throws ErrorKind::usage unless the edges are those of whole nodes,
/// ErrorKind::runtime for a NaN.
std::vector<Gene> derive_genes(std::span<const double> weights);

/// PC-DARTS (arXiv 1907.05737, section 3.3): the rows of `weights`, edges by primitives, times the softmax of the betas
/// over each node's edges. Throws ErrorKind::usage for another number of betas than edges, ErrorKind::runtime where one
/// is not finite.
std::vector<double> weigh_edges(std::vector<double> weights, std::span<const double> betas);
/// The softmax itself, by edge.
std::vector<double> softmax_edges(std::span<const double> betas);

/// Genotype of the weights of normal and reduction cells, edges by primitives.
Genotype genotype_of_weights(std::span<const double> normal, std::span<const double> reduce, int multiplier = 4);
/// Genotype of the alphas of normal and reduction cells. The concat is the last `multiplier` nodes.
Genotype derive_genotype(std::span<const double> alphas_normal, std::span<const double> alphas_reduce,
                         int multiplier = 4);

int skip_connects(std::span<const Gene> genes);

/// Two skip-connects in the normal cell: where DARTS+ (Liang et al., 2019, criterion 1) ends a search. Cells that
/// searches were content with reach it too (DARTS_V1 has three, DARTS_V2 two); P-DARTS keeps exactly two.
inline constexpr int kCollapseSkips = 2;
/// True where the normal cell has `skips` skip-connects or more.
bool collapsed(const Genotype& genotype, int skips = kCollapseSkips);

}  // namespace nascent::darts
