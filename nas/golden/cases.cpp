#include "nas/golden/cases.h"

#include <regex>

#include "nas/golden/kinds.h"

namespace nascent::golden {

std::optional<Check> check_of(const std::string& key) {
    for (auto kind : {network_check, op_check, architect_check, schedule_check, drnas_check, pcdarts_check, spos_check})
        if (auto check = kind(key)) return check;
    // Kinds that later work computes.
    static const std::regex later("evnas.*");
    if (std::regex_match(key, later)) return Check{};
    return std::nullopt;
}

}  // namespace nascent::golden
