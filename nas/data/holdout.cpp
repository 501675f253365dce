#include "nas/data/holdout.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/rng.h"

namespace nascent {
namespace {
constexpr std::size_t names_shown = 10;

void check_classes(const std::vector<std::vector<std::uint32_t>>& members, std::span<const std::string> names,
                   std::size_t wanted) {
    std::string list;
    std::size_t small = 0;
    for (std::size_t c = 0; c < members.size(); c++) {
        if (members[c].size() > wanted) continue;
        if (small++ < names_shown)
            list += fmt::format("{}'{}' has {}", small > 1 ? ", " : "", names[c], members[c].size());
    }
    if (small > names_shown) list += fmt::format(" and {} more", small - names_shown);
    NASCENT_CHECK(
        small == 0, data,
        "holding out {} pictures of each class leaves none to train on in {} of {} classes: {}; hold out fewer, or "
        "hold them out from the training set without taking them away (--holdout-from-train)",
        wanted, small, members.size(), list);
}
}  // namespace

HoldOut hold_out(std::span<const int> labels, std::span<const std::string> class_names, int per_class,
                 std::uint64_t seed, HoldOutPolicy policy) {
    NASCENT_CHECK(per_class >= 1, usage, "holding out {} pictures of each class, expected at least 1", per_class);
    std::vector<std::vector<std::uint32_t>> members(class_names.size());
    for (std::size_t i = 0; i < labels.size(); i++) {
        NASCENT_CHECK(labels[i] >= 0 && static_cast<std::size_t>(labels[i]) < members.size(), usage,
                      "label {}, expected 0..{}", labels[i], members.size() - 1);
        members[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::uint32_t>(i));
    }
    const auto wanted = static_cast<std::size_t>(per_class);
    if (policy == HoldOutPolicy::separate) check_classes(members, class_names, wanted);
    std::vector<char> held(labels.size(), 0);
    std::size_t short_classes = 0;
    for (std::size_t c = 0; c < members.size(); c++) {
        const std::size_t count = members[c].size();
        short_classes += count < wanted;
        for (std::size_t i = 0; i < std::min(wanted, count); i++) {
            held[members[c][shuffled(seed, RandomStream::picture, c, count, i)]] = 1;
        }
    }
    HoldOut out;
    for (std::size_t i = 0; i < labels.size(); i++) {
        const auto id = static_cast<std::uint32_t>(i);
        if (held[i]) out.held.push_back(id);
        if (!held[i] || policy == HoldOutPolicy::from_train) out.train.push_back(id);
    }
    if (policy == HoldOutPolicy::from_train) {
        out.warning = fmt::format(
            "the {} held-out pictures are trained on as well (--holdout-from-train): accuracies on them are too high "
            "and "
            "say nothing about other pictures",
            out.held.size());
        if (short_classes > 0) {
            out.warning += fmt::format("; {} of {} classes have fewer than {}", short_classes, members.size(), wanted);
        }
    }
    return out;
}

}  // namespace nascent
