// Files about alphas: their JSON, and the picture of their history.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "nas/algo/search_space.h"
#include "nas/space/darts_derive.h"

namespace nascent {

std::string alphas_to_json(const SearchSpace& space, const Alphas& alphas) {
    JsonObject all;
    all.add("space", space.name());
    const std::vector<AlphaMatrix> matrices = space.matrices();
    for (std::size_t m = 0; m < matrices.size(); m++) {
        const std::size_t columns = matrices[m].operators.size();
        std::string rows;
        for (std::size_t e = 0; e < matrices[m].edges.size(); e++) {
            rows += e ? ",[" : "[";
            for (std::size_t o = 0; o < columns; o++)
                rows += (o ? "," : "") + (alphas.at(m).at(e * columns + o) == -INFINITY
                                              ? "null"
                                              : json_number(alphas.at(m).at(e * columns + o)));
            rows += "]";
        }
        all.raw(matrices[m].name, "[" + rows + "]");
    }
    return all.text();
}

using nlohmann::json;

SpaceAlphas alphas_from_json(const std::string& text, const std::string& source) {
    SpaceAlphas result{};
    try {
        const auto all = json::parse(text);
        NASCENT_CHECK(all.is_object() && all.contains("space"), data, "{}: expected an object with \"space\"", source);
        const auto name = all.at("space").get<std::string>();
        try {
            const bool betas = all.contains("betas_normal") || all.contains("betas_reduce") || all.contains("betas");
            result.space = &search_space(name, betas);
            const AlphaMatrix first = result.space->matrices()[0];
            const json rows = all.value(first.name, json::array());
            if (!rows.empty() && rows[0].is_array() && rows[0].size() + 1 == first.operators.size())
                result.space = &search_space(name, betas, false);
        } catch (const Error& e) {
            fail(ErrorKind::data, "{}: \"space\": {}", source, e.what());
        }
        for (const AlphaMatrix& m : result.space->matrices()) {
            NASCENT_CHECK(all.contains(m.name), data, "{}: no \"{}\" in it", source, m.name);
            const auto rows = all.at(m.name).get<std::vector<std::vector<json>>>();
            NASCENT_CHECK(rows.size() == m.edges.size(), data, "{}: \"{}\" has {} rows, expected {}", source, m.name,
                          rows.size(), m.edges.size());
            std::vector<double>& to = result.alphas.emplace_back();
            for (const auto& row : rows) {
                NASCENT_CHECK(row.size() == m.operators.size(), data, "{}: \"{}\" has a row of {} numbers, expected {}",
                              source, m.name, row.size(), m.operators.size());
                for (const json& number : row) to.push_back(number.is_null() ? -INFINITY : number.get<double>());
            }
        }
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::data, "{}: {}", source, e.what());
    }
    return result;
}

std::string alpha_strip(const SearchSpace& space, const std::vector<Alphas>& history) {
    constexpr std::array<const char*, 8> colours = {"#bbbbbb", "#e9a3c9", "#f7c6a3", "#ffe08a",
                                                    "#8dd3c7", "#4f9da6", "#a6bddb", "#5b7db1"};
    constexpr int margin = 20, label = 60, strip = 34, gap = 6, heading = 30, font = 13;
    const std::vector<AlphaMatrix> matrices = space.matrices();
    const std::size_t moments = history.size();
    const int width = std::clamp(static_cast<int>(moments) * 12, 240, 900);
    std::string body;
    int y = margin;
    auto text = [&](int x, int at, const std::string& s) {
        std::string safe;
        for (char c : s) safe += c == '<' ? "&lt;" : std::string(1, c);
        body += fmt::format("<text x=\"{}\" y=\"{}\" font-size=\"{}\">{}</text>\n", x, at, font, safe);
    };
    for (std::size_t m = 0; m < matrices.size(); m++) {
        const std::size_t columns = matrices[m].operators.size();
        if (columns == 1) continue;
        std::vector<std::vector<double>> weights;
        for (const Alphas& a : history) weights.push_back(darts::softmax_rows(a.at(m), static_cast<int>(columns)));
        text(margin, y + font, matrices[m].name);
        y += heading;
        for (std::size_t e = 0; e < matrices[m].edges.size(); e++) {
            text(margin, y + strip / 2 + font / 2, matrices[m].edges[e]);
            std::vector<double> below(moments, 0);
            for (std::size_t o = 0; o < columns; o++) {
                // Each moment is a step, so that the first and the last are as wide as the others.
                std::string lower, upper;
                for (std::size_t t = 0; t < moments; t++) {
                    const double x0 = margin + label + static_cast<double>(width) * static_cast<double>(t) / moments,
                                 x1 =
                                     margin + label + static_cast<double>(width) * static_cast<double>(t + 1) / moments;
                    const double bottom = y + strip * (1 - below[t]);
                    below[t] += weights[t][e * columns + o];
                    const double top = y + strip * (1 - below[t]);
                    upper += fmt::format("{:.1f},{:.2f} {:.1f},{:.2f} ", x0, top, x1, top);
                    lower = fmt::format("{:.1f},{:.2f} {:.1f},{:.2f} ", x1, bottom, x0, bottom) + lower;
                }
                body +=
                    fmt::format("<polygon fill=\"{}\" points=\"{}{}\"/>\n", colours[o % colours.size()], upper, lower);
            }
            y += strip + gap;
        }
    }
    for (std::size_t o = 0; o < matrices[0].operators.size(); o++) {
        body += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>\n", margin, y, font, font,
                            colours[o % colours.size()]);
        text(margin + 2 * font, y + font, matrices[0].operators[o]);
        y += font + gap;
    }
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"sans-serif\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n{2}</svg>\n",
        width + label + 2 * margin, y + margin, body);
}

}  // namespace nascent
