#include "nas/data/split.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/mt19937.h"
#include "nas/data/file.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {
constexpr std::size_t cifar_count = 50'000;
}  // namespace

Nb201Split nb201_split() {
    std::vector<std::uint32_t> all(cifar_count);
    std::iota(all.begin(), all.end(), 0u);
    PythonRandom(1021).shuffle(all);
    const auto half = all.begin() + cifar_count / 2;
    std::sort(all.begin(), half);
    std::sort(half, all.end());
    return {{all.begin(), half}, {half, all.end()}};
}

std::vector<std::uint32_t> training_ids(const std::string& split, const Dataset& set) {
    static constexpr std::array<std::string_view, 3> names = {"auto", "nb201", "all"};
    NASCENT_CHECK(std::find(names.begin(), names.end(), split) != names.end(), usage,
                  "split '{}' is unknown, did you mean '{}'? (known: {})", split, nearest_name(split, names),
                  join_names(names));
    const std::size_t count = set.train.count();
    if (split == "nb201" || (split == "auto" && count == cifar_count && set.classes == 10)) {
        NASCENT_CHECK(count == cifar_count, usage,
                      "split 'nb201' divides {} training pictures, the data set '{}' has {}; use 'all'", cifar_count,
                      set.name, count);
        return nb201_split().train;
    }
    std::vector<std::uint32_t> all(count);
    std::iota(all.begin(), all.end(), 0u);
    return all;
}

}  // namespace nascent
