#include "nas/space/text_cursor.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace nascent {
namespace {

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)); }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Quotation marks and what they stand for; the long ones are UTF-8.
constexpr std::array<std::pair<std::string_view, char>, 7> kQuotes = {{{"'", '\''},
                                                                       {"\"", '"'},
                                                                       {"`", '`'},
                                                                       {"\xe2\x80\x98", '\''},
                                                                       {"\xe2\x80\x99", '\''},
                                                                       {"\xe2\x80\x9c", '"'},
                                                                       {"\xe2\x80\x9d", '"'}}};

}  // namespace

void TextCursor::skip_space() {
    while (at_ < text_.size()) {
        if (is_space(text_[at_])) {
            ++at_;
        } else if (text_[at_] == '\\' && at_ + 1 < text_.size() &&
                   (is_space(text_[at_ + 1]) || text_[at_ + 1] == 'n')) {
            at_ += 2;
        } else if (starts("<br>")) {
            at_ += 4;
        } else if (starts("<br/>")) {
            at_ += 5;
        } else {
            return;
        }
    }
}

char TextCursor::peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
}

bool TextCursor::take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
}

std::string_view TextCursor::word() {
    skip_space();
    const std::size_t from = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
}

std::optional<int> TextCursor::number() {
    skip_space();
    const std::size_t from = at_;
    const std::string_view digits = word();
    if (digits.empty() || digits.size() > 9 ||
        !std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c); })) {
        at_ = from;
        return std::nullopt;
    }
    int value = 0;
    for (char c : digits) value = value * 10 + (c - '0');
    return value;
}

char TextCursor::take_quote() {
    skip_space();
    const std::size_t from = at_;
    if (starts("\\")) ++at_;
    for (const auto& [mark, meaning] : kQuotes) {
        if (starts(mark)) {
            at_ += mark.size();
            return meaning;
        }
    }
    at_ = from;
    return '\0';
}

void TextCursor::close_quote(char quote) {
    const std::size_t from = at_;
    if (take_quote() == quote) return;
    at_ = from;
    fail_at(from, "expected {} after the name, {}", quote, found());
}

bool TextCursor::skip_past_call(std::string_view name) {
    const std::size_t start = at_;
    for (std::size_t at = text_.find(name); at != std::string_view::npos; at = text_.find(name, at + 1)) {
        if (at > 0 && is_word(text_[at - 1])) continue;
        at_ = at + name.size();
        if (take('(')) return true;
    }
    at_ = start;
    return false;
}

bool TextCursor::only_quotes_left() const {
    TextCursor rest = *this;
    while (rest.take_quote()) {
    }
    return rest.at_ == rest.text_.size();
}

bool TextCursor::at_end() {
    skip_space();
    return at_ == text_.size();
}

std::string TextCursor::found() {
    skip_space();
    if (at_ == text_.size()) return "the text ends there";
    const auto c = static_cast<unsigned char>(text_[at_]);
    return c < 0x20 || c >= 0x7f ? fmt::format("found byte 0x{:02x}", c) : fmt::format("found '{}'", text_[at_]);
}

void TextCursor::refuse(std::size_t place, const std::string& message) const {
    place = std::min(place, text_.size());
    const std::string_view before = text_.substr(0, place);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    std::string shown(text_.substr(0, 200));
    for (char& c : shown) {
        if (std::iscntrl(static_cast<unsigned char>(c))) c = ' ';
    }
    if (text_.size() > 200) shown += "...";
    fail(ErrorKind::usage, "{} '{}', line {}, column {}: {}", what_, shown, line, place - line_start + 1, message);
}

}  // namespace nascent
