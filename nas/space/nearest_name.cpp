#include "nas/space/nearest_name.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <vector>

#include "engine/base/error.h"

namespace nascent {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

}  // namespace

std::string_view nearest_name(std::string_view written, std::span<const std::string_view> names) {
    written = written.substr(0, 100);  // what is longer resembles nothing, and the distance costs length times length
    std::string_view best;
    std::size_t distance = 0;
    for (std::string_view name : names) {
        // A part of a name ("skip") is nearer than anything that merely has as many letters.
        bool part = !written.empty() && name.find(written) != std::string_view::npos;
        std::size_t d = part ? 0 : 1 + edit_distance(written, name);
        if (best.empty() || d < distance) {
            best = name;
            distance = d;
        }
    }
    return best;
}

std::size_t index_of_name(std::string_view kind, std::string_view name, std::span<const std::string_view> names) {
    const auto found = std::find(names.begin(), names.end(), name);
    NASCENT_CHECK(found != names.end(), usage, "no {} is called '{}'; nearest: {}", kind, name.substr(0, 100),
                  nearest_name(name, names));
    return static_cast<std::size_t>(found - names.begin());
}

std::string_view without_quotes(std::string_view text) {
    auto loose = [](unsigned char c) { return std::isspace(c) || c == '\'' || c == '"' || c == '`'; };
    while (!text.empty() && loose(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
    while (!text.empty() && loose(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
    return text;
}

}  // namespace nascent
