// Presets of a program by name, whatever its configuration.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "nas/run/config.h"

namespace nascent {

/// Names, and what each sets in a configuration of defaults.
template <class Config>
using PresetList = std::vector<std::pair<std::string, std::function<void(Config&)>>>;

template <class Config>
std::vector<std::string> names_of(const PresetList<Config>& presets) {
    std::vector<std::string> names;
    for (const auto& [name, set] : presets) names.push_back(name);
    return names;
}

/// Throws Error(usage) for another name, with the nearest.
template <class Config>
Config preset_of(const PresetList<Config>& presets, const std::string& name) {
    const auto found = std::ranges::find(presets, name, [](const auto& p) { return p.first; });
    NASCENT_CHECK(found != presets.end(), usage, "no preset is called '{}'{}", name,
                  did_you_mean(name, names_of(presets)));
    Config config;
    found->second(config);
    config.preset = name;
    return config;
}

}  // namespace nascent
