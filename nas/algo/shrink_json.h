// A shrunk space as a file: written by shrinking, read by searches.
#pragma once
#include <string>
#include <string_view>

#include "nas/algo/shrink.h"

namespace nascent {

/// {"format": "nascent shrunk space", "version": 1, "space": ..., "size": ..., "layers": [[...], ...],
///  "stages": [{"dropped": [[layer, operator, score, count], ...], "base_replaced": ...}, ...]}
std::string shrunk_space_json(std::string_view space, const ShrinkState& state);

/// The same again; `full` is the whole space of that name. Throws ErrorKind::data naming `source` and the place for
/// text that is not such a file, another space, another number of layers, an operator the layer never had or has twice
/// or out of order, a layer without operators, or stages whose drops do not lead from `full` to the layers.
ShrinkState read_shrunk_space(std::string_view text, const std::string& source, std::string_view space,
                              const OperatorLists& full);

/// The operators that are left in the space of a file; all where `file` is empty.
OperatorLists operators_left(const std::string& file, std::string_view space, const OperatorLists& full);

}  // namespace nascent
