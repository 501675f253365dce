// Pictures of architectures of chains: blocks in a row per stage, with kernel sizes, strides and widths.
#pragma once
#include <string>

#include "nas/space/chain.h"

namespace nascent::chain {

/// A stand-alone SVG picture. From left to right the first convolution and, stage below stage, the blocks: wider boxes
/// for wider expansions or inner widths, taller ones for larger kernels, a colour for each kind; identities are dashed.
/// Between the stages stand the sizes of the maps. Throws ErrorKind::usage where validate() does.
std::string to_svg(const Space& space, const Architecture& arch);

}  // namespace nascent::chain
