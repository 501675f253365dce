// Which pictures weights are trained on, and which alphas.
#include <charconv>
#include <utility>

#include "engine/base/error.h"
#include "nas/algo/search_config.h"
#include "nas/data/split.h"

namespace nascent {
namespace {

struct Part {
    std::uint32_t first = 0, last = 0;
};

Part part_of(const std::string& text, const char* key, std::size_t count) {
    Part p;
    const std::size_t colon = text.find(':');
    auto number = [&](std::string_view s, std::uint32_t& to) {
        const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), to);
        return error == std::errc() && end == s.data() + s.size();
    };
    NASCENT_CHECK(colon != std::string::npos && number(std::string_view(text).substr(0, colon), p.first) &&
                      number(std::string_view(text).substr(colon + 1), p.last) && p.first < p.last && p.last <= count,
                  usage, "{} = {}: expected FIRST:LAST with 0 <= FIRST < LAST <= {}, the training pictures", key, text,
                  count);
    return p;
}

std::vector<std::uint32_t> places(const Part& p) {
    std::vector<std::uint32_t> all;
    for (std::uint32_t i = p.first; i < p.last; i++) all.push_back(i);
    return all;
}

}  // namespace

Halves halves_of(const SearchConfig& config, const Dataset& set) {
    const SearchConfig::Data& data = config.data;
    const std::size_t count = set.train.count();
    if (data.split == "parts") {
        const Part train = part_of(data.train_part, "data.train_part", count),
                   valid = part_of(data.valid_part, "data.valid_part", count);
        NASCENT_CHECK(train.last <= valid.first || valid.last <= train.first, usage,
                      "data.train_part = {} and data.valid_part = {} overlap: alphas must be judged on other pictures",
                      data.train_part, data.valid_part);
        return {places(train), places(valid)};
    }
    if (data.split == "folders") {
        NASCENT_CHECK(count > 0 && set.test.count() > 0, usage,
                      "data.split = folders: {} training and {} test pictures, both must have some", count,
                      set.test.count());
        return {places({0, static_cast<std::uint32_t>(count)}),
                places({0, static_cast<std::uint32_t>(set.test.count())}), true};
    }
    const bool benchmark = config.space == "nasbench201" && training_ids("auto", set).size() < count;
    if (data.split == "nb201" || (data.split == "auto" && benchmark)) {
        (void)training_ids("nb201", set);  // throws where the set is another
        Nb201Split split = nb201_split();
        return {std::move(split.train), std::move(split.valid)};
    }
    NASCENT_CHECK(count >= 2, usage, "{} training pictures cannot be halved", count);
    const auto half = static_cast<std::uint32_t>(count / 2);
    return {places({0, half}), places({half, static_cast<std::uint32_t>(count)})};
}

}  // namespace nascent
