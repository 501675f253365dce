// Pictures of DARTS cells in the style of the original's Graphviz drawings: inputs c_{k-2} and c_{k-1} green, nodes
// blue, output c_{k} yellow, operators on the edges.
#pragma once
#include <span>
#include <string>

#include "nas/space/darts.h"

namespace nascent::darts {

/// Graphviz source, left to right. The output is fed by the states of `concat`; the original draws an edge from every
/// node, which is the same for cells that DARTS finds and wrong for NASNet's and AmoebaNet's.
std::string to_dot(std::span<const Gene> genes, std::span<const int> concat);

/// A stand-alone SVG picture, laid out here: each gene has a line of its own, with its operator written above it just
/// before the node, the nodes descend from left to right, and the concatenation runs above them.
std::string to_svg(std::span<const Gene> genes, std::span<const int> concat);

}  // namespace nascent::darts
