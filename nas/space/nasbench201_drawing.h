// Pictures of cells.
#pragma once
#include <string>

#include "nas/space/nasbench201.h"

namespace nascent::nb201 {

/// Graphviz source, left to right; edges with `none` are left out.
std::string to_dot(const Architecture& arch);
/// A stand-alone SVG picture, laid out here; edges with `none` are left out.
std::string to_svg(const Architecture& arch);

}  // namespace nascent::nb201
