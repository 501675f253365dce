// What a search left, read back.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "nas/algo/search_run.h"
#include "nas/run/journal_records.h"

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
    AlphaHistory history;
    for_each_record(run, "genotype", [&](const nlohmann::json& record, const std::string& where) {
        SpaceAlphas named = alphas_from_json(record.at("alphas").dump(), where);
        history.space = named.space;
        history.moments.push_back({record.at("epoch").get<int>(), std::move(named.alphas)});
    });
    NASCENT_CHECK(!history.moments.empty(), data, "{}/events.jsonl: no genotype in it yet", run);
    return history;
}

}  // namespace nascent
