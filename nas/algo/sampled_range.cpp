#include "nas/algo/sampled_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/autograd/execution.h"
#include "engine/base/rng.h"
#include "nas/run/journal_records.h"
#include "nas/space/nasbench201.h"
#include "ops/constants.h"
#include "ops/dirichlet.h"

namespace nascent {

SampledRange sampled_range(Device& device, const std::vector<double>& alphas, std::uint64_t seed, std::int64_t epoch,
                           const BenchmarkTable& table, const std::string& column, int count) {
    Arena arena(device, std::size_t{1} << 24);
    ExecutionScope execution(arena);
    // Of a draw of all operators those that were pruned cannot be the largest.
    std::vector<double> one = alphas, rows;
    for (double& a : one) a = a == -INFINITY ? 0 : a;
    for (int i = 0; i < count; i++) rows.insert(rows.end(), one.begin(), one.end());
    // The steps' draws end at pass 2 of each.
    const DrawKey key{seed, static_cast<std::uint64_t>(epoch) * 4 + 3,
                      static_cast<std::uint32_t>(RandomStream::architecture), 0};
    std::vector<double> drawn =
        numbers_of(dirichlet_draw(constants({count * nb201::kEdges, nb201::kOps}, DType::f64, rows), key));
    for (std::size_t i = 0; i < rows.size(); i++)
        if (alphas[i % alphas.size()] == -INFINITY) drawn[i] = -1;
    const std::vector<double> truth = table.accuracy(column);
    SampledRange range{100, 0, 0};
    auto row = drawn.begin();  // those of x come first
    for (int i = 0; i < count; i++) {
        nb201::Architecture arch;
        for (nb201::Op& op : arch.ops) {
            op = static_cast<nb201::Op>(std::max_element(row, row + nb201::kOps) - row);
            row += nb201::kOps;
        }
        const double accuracy = truth[static_cast<std::size_t>(arch.id())];
        range.least = std::min(range.least, accuracy);
        range.most = std::max(range.most, accuracy);
        range.mean += accuracy / count;
    }
    return range;
}

RangeHistory range_history(const std::string& run) {
    RangeHistory history;
    for_each_record(run, "epoch", [&](const nlohmann::json& record, const std::string&) {
        if (!record.contains("table") || !record.at("table").contains("sampled")) return;
        const auto &table = record.at("table"), &s = table.at("sampled");
        table.at("column").get_to(history.column);
        history.moments.push_back(
            {record.at("epoch").get<int>(),
             table.at("accuracy").get<double>(),
             {s.at("least").get<double>(), s.at("mean").get<double>(), s.at("most").get<double>()}});
    });
    return history;
}

std::string range_plot(const RangeHistory& history) {
    constexpr int left = 60, top = 30, width = 560, height = 280, font = 13;
    const std::vector<RangeMoment>& m = history.moments;
    double low = 100, high = 0;
    for (const RangeMoment& at : m) {
        low = std::min({low, at.sampled.least, at.derived});
        high = std::max({high, at.sampled.most, at.derived});
    }
    low = std::floor(low / 10) * 10;
    high = std::max(low + 10, std::ceil(high / 10) * 10);
    auto x = [&](std::size_t i) {
        return left + (m.size() > 1
                           ? static_cast<double>(width) * static_cast<double>(i) / static_cast<double>(m.size() - 1)
                           : width / 2.0);
    };
    auto y = [&](double accuracy) { return top + height * (high - accuracy) / (high - low); };
    std::string band, back, mean, derived, body;
    for (std::size_t i = 0; i < m.size(); i++) {
        band += fmt::format("{:.1f},{:.1f} ", x(i), y(m[i].sampled.most));
        back = fmt::format("{:.1f},{:.1f} ", x(i), y(m[i].sampled.least)) + back;
        mean += fmt::format("{:.1f},{:.1f} ", x(i), y(m[i].sampled.mean));
        derived += fmt::format("{:.1f},{:.1f} ", x(i), y(m[i].derived));
    }
    for (double at = low; at <= high; at += 10)
        body += fmt::format(
            "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#dddddd\"/>\n"
            "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.0f} %</text>\n",
            left, left + width, y(at), left - 8, y(at) + font / 3.0, at);
    body += fmt::format("<polygon fill=\"#a6bddb\" fill-opacity=\"0.6\" points=\"{}{}\"/>\n", band, back);
    body += fmt::format("<polyline fill=\"none\" stroke=\"#5b7db1\" stroke-width=\"2\" points=\"{}\"/>\n", mean);
    body += fmt::format("<polyline fill=\"none\" stroke=\"#c0504d\" stroke-width=\"2\" points=\"{}\"/>\n", derived);
    body += fmt::format(
        "<text x=\"{0}\" y=\"{1}\">epoch {2}</text>\n<text x=\"{3}\" y=\"{1}\" text-anchor=\"end\">{4}</text>\n"
        "<text x=\"{0}\" y=\"{5}\">{6}: range and mean (blue) of 100 drawn architectures, the derived one "
        "(red)</text>\n",
        left, top + height + 20, m.front().epoch, left + width, m.back().epoch, top - 10, history.column);
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"sans-serif\" font-size=\"{2}\">\n<rect width=\"{0}\" height=\"{1}\" "
        "fill=\"white\"/>\n{3}</svg>\n",
        left + width + 40, top + height + 40, font, body);
}

}  // namespace nascent
