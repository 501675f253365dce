#include "nas/run/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "engine/base/error.h"

namespace nascent {
namespace {

void allow_extras(CLI::App& app) {
    app.allow_extras();
    for (CLI::App* sub : app.get_subcommands({})) allow_extras(*sub);
}

void collect_flags(const CLI::App& app, std::vector<std::string>& names) {
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    for (const CLI::App* sub : app.get_subcommands()) collect_flags(*sub, names);  // those that were called
}

}  // namespace

void add_options(CLI::App& app, const OptionTable& table, Overrides& into, const std::vector<std::string>& without) {
    app.add_option("--config", into.config, "read options from a TOML file")
        ->option_text("FILE")
        ->group("Options from elsewhere");
    // take_all without greed: each --set has one value.
    app.add_option("--set", into.sets, "set any key of the configuration, e.g. --set train.epochs=3")
        ->option_text("KEY=VALUE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check([without](const std::string& assignment) {
            const std::string section = assignment.substr(0, assignment.find('.'));
            if (std::find(without.begin(), without.end(), section) == without.end()) return std::string();
            return fmt::format("{}: keys of [{}] have no effect on this command", assignment, section);
        })
        ->group("Options from elsewhere");
    for (const Option& o : table.options()) {
        const std::string section = o.key.substr(0, o.key.find('.')), group = "[" + section + "]";
        if (o.flag.empty() || std::find(without.begin(), without.end(), section) != without.end()) continue;
        const std::string help = o.help + " (default " + o.standard + ")";
        if (o.is_boolean()) {
            const auto store = [&into, key = o.key](bool value) {
                into.flags.emplace_back(key, value ? "true" : "false");
            };
            const std::string opposite = "--no-" + o.flag.substr(2);
            app.add_flag_function(
                   o.flag, [store](std::int64_t count) { store(count > 0); },
                   fmt::format("{}; {} for false", help, opposite))
                ->group(group);
            app.add_flag_function(opposite, [store](std::int64_t count) { store(count <= 0); })->group("");
        } else {
            app.add_option_function<std::string>(
                   o.flag, [&into, key = o.key](const std::string& value) { into.flags.emplace_back(key, value); },
                   help)
                ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)  // scripts append to what others set
                ->option_text(o.domain())
                ->group(group);
        }
    }
}

void apply(OptionTable& table, const Overrides& overrides) {
    if (!overrides.config.empty()) table.read_toml(overrides.config);
    for (const std::string& assignment : overrides.sets) table.assign(assignment);
    for (const auto& [key, value] : overrides.flags) table.set(key, value, table.find(key)->flag);
}

bool parse_command_line(CLI::App& app, int argc, const char* const* argv) {
    allow_extras(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& e) {  // help, version
        app.exit(e);
        return false;
    } catch (const CLI::ParseError& e) {
        fail(ErrorKind::usage, "{}", e.what());
    }
    for (const std::string& extra : app.remaining(true)) {
        if (extra.size() > 1 && extra[0] == '-') {
            std::vector<std::string> names;
            collect_flags(app, names);
            const std::string written = extra.substr(0, extra.find('='));
            fail(ErrorKind::usage, "unknown option {}{}", written, did_you_mean(written, names));
        }
        if (app.get_subcommands().empty() && !app.get_subcommands({}).empty()) {
            std::vector<std::string> names;
            for (const CLI::App* sub : app.get_subcommands({})) names.push_back(sub->get_name());
            fail(ErrorKind::usage, "unknown command {}{}", extra, did_you_mean(extra, names));
        }
        fail(ErrorKind::usage, "unexpected argument {}", extra);
    }
    return true;
}

}  // namespace nascent
