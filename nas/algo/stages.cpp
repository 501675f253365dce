#include "nas/algo/stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "engine/base/error.h"

namespace nascent {
namespace {

/// Three numbers between colons; false where the text is another.
bool read(std::string_view text, Stage& to) {
    const char *at = text.data(), *const end = at + text.size();
    for (int* number : {&to.epoch, &to.partial, &to.operators}) {
        if (number != &to.epoch && (at == end || *at++ != ':')) return false;
        const auto [next, error] = std::from_chars(at, end, *number);
        if (error != std::errc()) return false;
        at = next;
    }
    return at == end;
}

/// f(matrix, first element of the row, row number) of every edge whose operators are weighed.
template <class F>
void for_each_edge(const std::vector<AlphaMatrix>& matrices, F&& f) {
    for (std::size_t m = 0; m < matrices.size(); m++)
        for (std::size_t e = 0; e < matrices[m].edges.size() && matrices[m].operators.size() > 1; e++)
            f(m, e * matrices[m].operators.size(), e);
}

}  // namespace

std::vector<Stage> read_stages(const std::string& text, const Stage& first, int channels) {
    std::vector<Stage> all{first};
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view one = rest.substr(0, comma);
        const Stage before = all.back();
        Stage& s = all.emplace_back();
        NASCENT_CHECK(read(one, s) && comma + 1 != rest.size(), usage,
                      "arch.stages = {}: expected EPOCH:K:OPERATORS, with commas between stages, got '{}'", text, one);
        NASCENT_CHECK(s.epoch > before.epoch, usage, "arch.stages = {}: a stage at epoch {} after one at {}", text,
                      s.epoch, before.epoch);
        NASCENT_CHECK(
            s.partial >= 1 && channels % s.partial == 0, usage,
            "arch.stages = {}: K = {} does not divide net.channels = {}, of which operators see one in so many", text,
            s.partial, channels);
        NASCENT_CHECK(s.partial <= before.partial, usage,
                      "arch.stages = {}: K = {} after {}: operators only get wider, with a smaller K", text, s.partial,
                      before.partial);
        NASCENT_CHECK(s.operators >= 1 && s.operators <= before.operators, usage,
                      "arch.stages = {}: {} operators are to be left of an edge's {}; expected 1..{}", text,
                      s.operators, before.operators, before.operators);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return all;
}

Kept pruned(const Alphas& alphas, const std::vector<AlphaMatrix>& matrices, int operators) {
    Kept kept;
    for (const AlphaMatrix& m : matrices) kept.emplace_back(m.size(), m.operators.size() == 1);
    for_each_edge(matrices, [&](std::size_t m, std::size_t first, std::size_t) {
        const std::vector<double>& all = alphas.at(m);
        std::vector<std::size_t> order(matrices[m].operators.size());
        std::iota(order.begin(), order.end(), first);
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return all.at(a) > all.at(b); });
        for (std::size_t i = 0; i < static_cast<std::size_t>(operators) && i < order.size(); i++)
            kept[m][order[i]] = all[order[i]] > -INFINITY;
    });
    return kept;
}

std::vector<std::string> kept_texts(const Kept& kept) {
    std::vector<std::string> texts;
    for (const std::vector<bool>& of : kept) {
        std::string& text = texts.emplace_back();
        for (bool k : of) text += k ? '1' : '0';
    }
    return texts;
}

Kept kept_of(const std::vector<std::string>& texts, const std::vector<AlphaMatrix>& matrices) {
    Kept kept;
    if (texts.empty()) return kept;
    NASCENT_CHECK(texts.size() == matrices.size(), checkpoint, "operators of {} matrices are kept, expected {}",
                  texts.size(), matrices.size());
    for (std::size_t m = 0; m < texts.size(); m++) {
        NASCENT_CHECK(texts[m].size() == matrices[m].size() && texts[m].find_first_not_of("01") == std::string::npos,
                      checkpoint, "'{}' does not say which of {} operators are kept", texts[m], matrices[m].size());
        std::vector<bool>& of = kept.emplace_back();
        for (char c : texts[m]) of.push_back(c == '1');
    }
    for_each_edge(matrices, [&](std::size_t m, std::size_t first, std::size_t e) {
        const auto row = kept[m].begin() + static_cast<std::ptrdiff_t>(first);
        NASCENT_CHECK(std::count(row, row + static_cast<std::ptrdiff_t>(matrices[m].operators.size()), true) > 0,
                      checkpoint, "no operator is kept of edge {}", matrices[m].edges[e]);
    });
    return kept;
}

std::vector<int> operators_left(const Kept& kept, const std::vector<AlphaMatrix>& matrices) {
    std::vector<int> left;
    for_each_edge(matrices, [&](std::size_t m, std::size_t first, std::size_t) {
        int count = 0;
        for (std::size_t o = 0; o < matrices[m].operators.size(); o++) count += kept.empty() || kept[m][first + o];
        left.push_back(count);
    });
    return left;
}

std::vector<std::string> describe(const Kept& kept, const std::vector<AlphaMatrix>& matrices) {
    std::vector<std::string> lines;
    const auto of_operators =
        std::count_if(matrices.begin(), matrices.end(), [](const AlphaMatrix& m) { return m.operators.size() > 1; });
    for_each_edge(matrices, [&](std::size_t m, std::size_t first, std::size_t e) {
        std::string& line = lines.emplace_back(of_operators > 1 ? matrices[m].name + " " : "");
        line += matrices[m].edges[e] + ":";
        for (std::size_t o = 0; o < matrices[m].operators.size(); o++)
            if (kept.empty() || kept[m][first + o]) line += " " + matrices[m].operators[o];
    });
    return lines;
}

}  // namespace nascent
