#include "nas/run/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/base/error.h"
#include "engine/io/json_text.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {

template <class T>
bool parse_number(std::string_view text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

std::string section_of(const std::string& key) {
    const std::size_t dot = key.rfind('.');
    return dot == std::string::npos ? "" : key.substr(0, dot);
}

std::string name_in_section(const std::string& key) {
    const std::size_t dot = key.rfind('.');
    return dot == std::string::npos ? key : key.substr(dot + 1);
}

// Above every 64-bit integer: such a range has no upper end.
constexpr double no_end = 1e19;

}  // namespace

std::string Option::value() const {
    struct Writer {
        std::string operator()(const bool* v) const { return *v ? "true" : "false"; }
        std::string operator()(const int* v) const { return std::to_string(*v); }
        std::string operator()(const std::int64_t* v) const { return std::to_string(*v); }
        std::string operator()(const double* v) const { return json_number(*v); }  // TOML's reals look the same
        std::string operator()(const std::string* v) const { return json_quote(*v); }
    };
    return std::visit(Writer{}, field);
}

std::string Option::domain() const {
    if (is_boolean()) return "true|false";
    if (std::holds_alternative<std::string*>(field))
        return allowed.empty() ? "text" : fmt::format("{}", fmt::join(allowed, "|"));
    const char* type = std::holds_alternative<double*>(field) ? "number" : "integer";
    if (high >= no_end) return fmt::format("{} >= {}", type, low);
    return fmt::format("{} {}..{}", type, low, high);
}

void OptionTable::insert(Option option) {
    NASCENT_CHECK(find(option.key) == nullptr, runtime, "option {} is defined twice", option.key);
    option.standard = option.value();
    options_.push_back(std::move(option));
}

void OptionTable::add(std::string key, std::string flag, bool& field, std::string help) {
    insert({std::move(key), std::move(flag), std::move(help), &field, 0, 0, {}, {}});
}
void OptionTable::add(std::string key, std::string flag, int& field, int low, int high, std::string help) {
    insert({std::move(key),
            std::move(flag),
            std::move(help),
            &field,
            static_cast<double>(low),
            static_cast<double>(high),
            {},
            {}});
}
void OptionTable::add(std::string key, std::string flag, std::int64_t& field, std::int64_t low, std::string help) {
    insert({std::move(key), std::move(flag), std::move(help), &field, static_cast<double>(low), no_end, {}, {}});
}
void OptionTable::add(std::string key, std::string flag, double& field, double low, double high, std::string help) {
    insert({std::move(key), std::move(flag), std::move(help), &field, low, high, {}, {}});
}
void OptionTable::add(std::string key, std::string flag, std::string& field, std::string help) {
    insert({std::move(key), std::move(flag), std::move(help), &field, 0, 0, {}, {}});
}
void OptionTable::add(std::string key, std::string flag, std::string& field, std::vector<std::string> allowed,
                      std::string help) {
    insert({std::move(key), std::move(flag), std::move(help), &field, 0, 0, std::move(allowed), {}});
}

OptionTable OptionTable::only(const std::vector<std::string>& keys) const {
    OptionTable table;
    for (const Option& o : options_)
        if (std::find(keys.begin(), keys.end(), o.key) != keys.end()) table.options_.push_back(o);
    return table;
}

const Option* OptionTable::find(std::string_view key) const {
    const auto found = std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.key == key; });
    return found == options_.end() ? nullptr : &*found;
}

void OptionTable::unknown_key(std::string_view key, const std::string& source) const {
    // Whoever forgot the section meant the name in it.
    const bool whole = key.find('.') != std::string_view::npos;
    std::vector<std::string> names;
    for (const Option& o : options_) names.push_back(whole ? o.key : name_in_section(o.key));
    std::string hint = did_you_mean(key, names);
    if (!whole) {
        for (const Option& o : options_) {
            if (hint == fmt::format(", did you mean {}?", name_in_section(o.key)))
                hint = fmt::format(", did you mean {}?", o.key);
        }
    }
    fail(ErrorKind::usage, "{}: unknown key {}{}", source, key, hint);
}

void OptionTable::set(std::string_view key, std::string_view text, const std::string& source) {
    const Option* option = find(key);
    if (option == nullptr) unknown_key(key, source);
    const auto refuse = [&] {
        std::string hint;
        if (!option->allowed.empty()) hint = did_you_mean(text, option->allowed);
        fail(ErrorKind::usage, "{}: {} = {}, expected {}{}", source, key, text, option->domain(), hint);
    };
    const auto in_range = [&](auto value) {
        return static_cast<double>(value) >= option->low && static_cast<double>(value) <= option->high;
    };
    const auto store_number = [&](auto* field) {
        std::remove_pointer_t<decltype(field)> value{};
        // from_chars reads "nan", which is in no range, and "inf", which is in none of ours.
        if (!parse_number(text, value) || !in_range(value)) refuse();
        *field = value;
    };
    if (auto* const* flag = std::get_if<bool*>(&option->field)) {
        if (text != "true" && text != "false") refuse();
        **flag = text == "true";
    } else if (auto* const* words = std::get_if<std::string*>(&option->field)) {
        const std::vector<std::string>& allowed = option->allowed;
        if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), text) == allowed.end()) refuse();
        (*words)->assign(text);
    } else if (auto* const* small = std::get_if<int*>(&option->field)) {
        store_number(*small);
    } else if (auto* const* large = std::get_if<std::int64_t*>(&option->field)) {
        store_number(*large);
    } else {
        store_number(std::get<double*>(option->field));
    }
}

void OptionTable::assign(std::string_view assignment) {
    const std::size_t equals = assignment.find('=');
    NASCENT_CHECK(equals != std::string_view::npos && equals > 0, usage, "--set {}: expected key=value", assignment);
    set(assignment.substr(0, equals), assignment.substr(equals + 1), "--set");
}

std::string OptionTable::to_toml() const {
    std::string text, section;
    for (const Option& o : options_) {
        const std::string its = section_of(o.key);
        if (its != section) {
            text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", its);
            section = its;
        }
        text += fmt::format("# {} ({}; default {})\n{} = {}\n", o.help, o.domain(), o.standard, name_in_section(o.key),
                            o.value());
    }
    return text;
}

std::string OptionTable::help() const {
    std::string text, section = "\n";
    for (const Option& o : options_) {
        const std::string its = section_of(o.key);
        if (its != section) {
            text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", its);
            section = its;
        }
        const std::string left = o.flag.empty() ? fmt::format("--set {}=", o.key) : o.flag;
        text += fmt::format("  {:<26} {} ({}; default {}; key {})\n", left, o.help, o.domain(), o.standard, o.key);
    }
    return text;
}

std::string did_you_mean(std::string_view written, const std::vector<std::string>& names) {
    if (names.empty()) return "";
    const std::vector<std::string_view> views(names.begin(), names.end());
    return fmt::format(", did you mean {}?", nearest_name(written, views));
}

}  // namespace nascent
