#include "nas/run/journal_records.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

namespace nascent {

void for_each_record(const std::string& run, const std::string& kind,
                     const std::function<void(const nlohmann::json& record, const std::string& where)>& f) {
    const std::string path = run + "/events.jsonl";
    NASCENT_CHECK(std::filesystem::exists(path), usage, "{}: no run, there is no events.jsonl in it", run);
    std::istringstream lines(read_file(path));
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        if (lines.eof()) break;  // torn, or being written
        const std::string where = fmt::format("{}:{}", path, ++number);
        try {
            const auto record = nlohmann::json::parse(line);
            if (record.at("kind") == kind) f(record, where);
        } catch (const nlohmann::json::exception& e) {
            fail(ErrorKind::data, "{}: {}", where, e.what());
        }
    }
}

}  // namespace nascent
