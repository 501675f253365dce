#include <fmt/format.h>

// toml++ throws its own exception type, which says where in the document it was.
#include <toml++/toml.h>

#include <algorithm>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "nas/run/config.h"

namespace nascent {
namespace {

std::string place(const std::string& name, const toml::source_region& region) {
    return fmt::format("{}:{}:{}", name, region.begin.line, region.begin.column);
}

/// The value as OptionTable::set() reads it.
std::string text_of(const toml::node& node, const Option& option, const std::string& where) {
    const bool real = std::holds_alternative<double*>(option.field);
    const bool words = std::holds_alternative<std::string*>(option.field);
    if (option.is_boolean() && node.is_boolean()) return *node.value<bool>() ? "true" : "false";
    if (words && node.is_string()) return *node.value<std::string>();
    if (!option.is_boolean() && !words && node.is_integer()) return fmt::format("{}", *node.value<std::int64_t>());
    if (real && node.is_floating_point()) return fmt::format("{}", *node.value<double>());
    const char* found = node.is_boolean()          ? "true or false"
                        : node.is_string()         ? "a text in quotes"
                        : node.is_integer()        ? "an integer"
                        : node.is_floating_point() ? "a real number"
                        : node.is_array()          ? "a list"
                        : node.is_table()          ? "a section"
                                                   : "a date or time";
    fail(ErrorKind::usage, "{}: {} is {}, expected {}", where, option.key, found, option.domain());
}

void read_table(OptionTable& options, const toml::table& table, const std::string& before, const std::string& name) {
    for (const auto& [key, node] : table) {
        const std::string whole = before + std::string(key.str());
        const std::string where = place(name, key.source());
        if (const Option* option = options.find(whole)) {
            options.set(whole, text_of(node, *option, where), where);
        } else if (node.is_table()) {
            read_table(options, *node.as_table(), whole + ".", name);
        } else {
            options.set(whole, "", where);  // says that the key is unknown
        }
    }
}

/// Also a section without keys can be misspelt.
void check_sections(const OptionTable& options, const toml::table& table, const std::string& name) {
    std::vector<std::string> sections;
    for (const Option& o : options.options()) {
        const std::size_t dot = o.key.find('.');
        if (dot != std::string::npos) sections.push_back(fmt::format("[{}]", o.key.substr(0, dot)));
    }
    for (const auto& [key, node] : table) {
        const std::string section = fmt::format("[{}]", key.str());
        if (!node.is_table() || std::find(sections.begin(), sections.end(), section) != sections.end()) continue;
        fail(ErrorKind::usage, "{}: unknown section {}{}", place(name, key.source()), section,
             did_you_mean(section, sections));
    }
}

}  // namespace

void OptionTable::parse_toml(std::string_view text, const std::string& name) {
    toml::table document;
    try {
        document = toml::parse(text, name);
    } catch (const toml::parse_error& e) {
        fail(ErrorKind::usage, "{}: {}", place(name, e.source()), e.description());
    }
    check_sections(*this, document, name);
    read_table(*this, document, "", name);
}

void OptionTable::read_toml(const std::string& path) {
    std::string text;
    try {
        text = read_file(path, 1 << 20);
    } catch (const Error& e) {
        fail(ErrorKind::usage, "{}", e.what());
    }
    parse_toml(text, path);
}

}  // namespace nascent
