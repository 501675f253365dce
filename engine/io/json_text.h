// Writing JSON text without a JSON library in the headers: enough for journals, results and checkpoint cursors.
#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace nascent {

/// `text` in quotes, escaped; bytes that are no UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);
/// The shortest text that reads back as the same double, always with '.' or 'e'; null for NaN and infinities.
std::string json_number(double value);

/// One JSON object in the order of add(): `JsonObject().add("lr", 0.1).add("arch", text).text()`.
class JsonObject {
  public:
    JsonObject& add(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }
    template <std::integral T>
    JsonObject& add(std::string_view name, T value) {
        return raw(name, std::to_string(value));
    }
    template <std::floating_point T>
    JsonObject& add(std::string_view name, T value) {
        return raw(name, json_number(static_cast<double>(value)));
    }
    JsonObject& add(std::string_view name, const char* value) { return raw(name, json_quote(value)); }
    JsonObject& add(std::string_view name, std::string_view value) { return raw(name, json_quote(value)); }
    JsonObject& add(std::string_view name, const std::string& value) { return raw(name, json_quote(value)); }
    JsonObject& add(std::string_view name, const JsonObject& value) { return raw(name, value.text()); }
    template <class T>
    JsonObject& add(std::string_view name, const std::vector<T>& values) {
        std::string list = "[";
        for (const auto& value : values) {
            if (list.size() > 1) list += ',';
            list += item<T>(value);
        }
        list += ']';
        return raw(name, list);
    }
    /// `json` must be valid JSON text.
    JsonObject& raw(std::string_view name, std::string_view json);
    /// The members as they stand between the braces.
    const std::string& members() const { return members_; }
    std::string text() const {
        std::string all = "{";
        all += members_;
        all += '}';
        return all;
    }

  private:
    template <class T>
    static std::string item(const T& value) {
        if constexpr (std::is_same_v<T, JsonObject>) {
            return value.text();
        } else if constexpr (std::is_same_v<T, bool>) {
            return value ? "true" : "false";
        } else if constexpr (std::floating_point<T>) {
            return json_number(static_cast<double>(value));
        } else if constexpr (std::integral<T>) {
            return std::to_string(value);
        } else {
            return json_quote(value);
        }
    }
    std::string members_;
};

}  // namespace nascent
