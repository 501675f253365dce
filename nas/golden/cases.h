// Entries of golden files, by the grammar of their keys.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "engine/streams/device.h"
#include "nas/golden/numbers.h"

namespace nascent::golden {

/// Computes what the entry holds, in float64, and compares.
using Check = std::function<void(Device& device, const nlohmann::json& expected, Report& report)>;

/// How the entry `key` of a file is checked; a null check is one that later work brings; nothing for a kind that is
/// unknown. Throws Error(data) for a key whose kind is known and whose parts make no sense.
std::optional<Check> check_of(const std::string& key);

}  // namespace nascent::golden
