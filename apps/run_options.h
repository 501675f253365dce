// The options of a program's runs on its command line.
#pragma once
#include <string>

#include "nas/algo/common_options.h"
#include "nas/run/command_line.h"

namespace nascent {

/// `options_of` is the table of a configuration, `preset_of` the configuration of a preset's name.
template <class Config, OptionTable (*options_of)(Config&), Config (*preset_of)(const std::string&)>
struct RunOptions {
    Config config;
    OptionTable table = options_of(config), resumable = table.only(resumable_keys());
    Overrides overrides;

    /// The preset that was asked for, by whatever way, with all else the user gave on top.
    Config chosen() const {
        Config asked;
        change(asked);
        Config result = preset_of(asked.preset);
        change(result);
        return result;
    }
    /// What the user gave on top of `base`.
    void change(Config& base) const {
        OptionTable on_base = options_of(base);
        apply(on_base, overrides);
    }
    /// The same, of what may change when a run goes on.
    void change_resumed(Config& base) const {
        OptionTable on_base = options_of(base).only(resumable_keys());
        apply(on_base, overrides);
    }
};

}  // namespace nascent
