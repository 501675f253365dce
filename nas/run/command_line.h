// The option table on the command line (CLI11), with this project's errors: an unknown flag is answered with the
// nearest one, and everything wrong is an Error of kind usage.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "nas/run/config.h"

namespace CLI {
class App;
}

namespace nascent {

/// What the user gave, before it is applied.
struct Overrides {
    std::string config;                                      // --config FILE.toml
    std::vector<std::string> sets;                           // --set key=value, in order
    std::vector<std::pair<std::string, std::string>> flags;  // (key, value) of the options' own flags, in order
};

/// Adds --config, --set and every option's flag to `app`, which then writes into `into` when parsed; both tables must
/// live until then. Booleans become --name and --no-name. Sections in `without` get no flags and
/// no --set: a command refuses what could have no effect on it.
void add_options(CLI::App& app, const OptionTable& table, Overrides& into,
                 const std::vector<std::string>& without = {});

/// Defaults < --config < --set < flags.
void apply(OptionTable& table, const Overrides& overrides);

/// Parses, and throws an Error for anything the app or its subcommands do not know. False if help or the version was
/// asked for and printed to stdout: the program ends with success.
bool parse_command_line(CLI::App& app, int argc, const char* const* argv);

}  // namespace nascent
