// The kinds of entries, a file each: the check of a key, or nothing where the key is none of the kind.
#pragma once
#include "nas/golden/cases.h"

namespace nascent::golden {

std::optional<Check> network_check(const std::string& key);
std::optional<Check> op_check(const std::string& key);
std::optional<Check> architect_check(const std::string& key);
std::optional<Check> schedule_check(const std::string& key);
std::optional<Check> drnas_check(const std::string& key);
std::optional<Check> pcdarts_check(const std::string& key);
std::optional<Check> spos_check(const std::string& key);

}  // namespace nascent::golden
