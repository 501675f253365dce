// What the readers of architectures of chains share.
#pragma once
#include <cstddef>
#include <string_view>

#include "nas/space/chain.h"
#include "nas/space/text_cursor.h"

namespace nascent::chain {

/// The id of an operator by MMRazor's name; throws at `place` with the nearest.
int op_named(const Space& space, TextCursor& in, std::size_t place, std::string_view name);
/// Throws at `place` unless the block may have the operator.
void check_op(const Block& block, TextCursor& in, std::size_t place, int id);

/// An MMRazor subnet file, see parse_architecture().
Architecture parse_subnet(const Space& space, std::string_view text);

}  // namespace nascent::chain
