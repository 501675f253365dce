// Pictures of architectures of chains: blocks in a row per stage, with kernel sizes, strides and widths.
#pragma once
#include <string>

#include "nas/space/chain.h"

namespace nascent::chain {

/// A stand-alone SVG picture: a line for the first layers, then one per stage, before it the size of its maps and its
/// width. Taller boxes for larger kernels, wider ones for wider expansions or inner widths, a colour for each kernel
/// size; identities are dashed. Below a box stand its stride, if that is 2, and its inner width where channels are
/// searched. Throws ErrorKind::usage where validate() does.
std::string to_svg(const Space& space, const Architecture& arch);

}  // namespace nascent::chain
