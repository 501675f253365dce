// Reading a run's journal back.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace nascent {

/// f(record, where) of each record of a kind in a run's journal, `where` its file and line; a last line that is torn or
/// being written is left out. Throws Error(usage) where `run` has no journal, Error(data) with `where` for a line that
/// is no record, and where f throws nlohmann::json::exception.
void for_each_record(const std::string& run, const std::string& kind,
                     const std::function<void(const nlohmann::json& record, const std::string& where)>& f);

}  // namespace nascent
