// What a search left, read back.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/io/atomic_file.h"
#include "nas/algo/search_run.h"

namespace nascent {

std::string result_text(const std::string& arch_json, const std::string& source) {
    try {
        const auto r = nlohmann::json::parse(arch_json);
        std::string text = fmt::format(
            "{}\n  after {} epochs, {} skip-connects{}, validation accuracy {:.2f} %\n  {} parameters, {} MACs\n",
            r.at("genotype").get<std::string>(), r.at("epochs").get<int>(), r.at("skips").get<int>(),
            r.at("collapsed").get<bool>() ? " (collapsed)" : "", r.at("valid").at("accuracy").get<double>(),
            r.at("params").get<std::int64_t>(), r.at("macs").at("mac").get<std::int64_t>());
        if (r.contains("table"))
            text += fmt::format("  {}: {:.2f} %, rank {} of {}\n", r.at("table").at("column").get<std::string>(),
                                r.at("table").at("accuracy").get<double>(), r.at("table").at("rank").get<int>(),
                                nb201::kArchitectures);
        return text;
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::data, "{}: {}", source, e.what());
    }
}

AlphaHistory alpha_history(const std::string& run) {
    const std::string path = run + "/events.jsonl";
    NASCENT_CHECK(std::filesystem::exists(path), usage, "{}: no run, there is no events.jsonl in it", run);
    AlphaHistory history;
    std::istringstream lines(read_file(path));
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        number++;
        if (lines.eof()) break;  // torn, or being written
        try {
            const auto record = nlohmann::json::parse(line);
            if (record.at("kind") != "genotype") continue;
            SpaceAlphas named = alphas_from_json(record.at("alphas").dump(), fmt::format("{}:{}", path, number));
            history.space = named.space;
            history.moments.push_back({record.at("epoch").get<int>(), std::move(named.alphas)});
        } catch (const nlohmann::json::exception& e) {
            fail(ErrorKind::data, "{}:{}: {}", path, number, e.what());
        }
    }
    NASCENT_CHECK(!history.moments.empty(), data, "{}: no genotype in it yet", path);
    return history;
}

}  // namespace nascent
