// A text with a place in it, for readers of what people paste; errors name both.
#pragma once
#include <fmt/format.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/error.h"

namespace nascent {

/// Never reads outside the text. Spaces are blanks, control characters of layout, `<br>` and backslashes before them.
class TextCursor {
  public:
    /// `what` names the kind of text in errors. The text must outlive the cursor.
    TextCursor(std::string_view text, std::string_view what) : text_(text), what_(what) {}

    void skip_space();
    /// The next character that is no space, 0 at the end.
    char peek();
    /// Steps over spaces and `c` if it is next.
    bool take(char c);
    /// Steps over letters, digits and `_`; empty where there are none.
    std::string_view word();
    /// At most nine digits as a number; nothing, and no step, where there is none.
    std::optional<int> number();
    /// Steps over a quotation mark (straight, typographic or after a backslash): ', " or `, 0 where there is none.
    char take_quote();
    /// Throws unless the same mark is next.
    void close_quote(char quote);
    /// Steps behind the first `name(`, if there is one.
    bool skip_past_call(std::string_view name);
    /// Nothing but spaces and quotation marks up to the end; takes no step.
    bool only_quotes_left() const;

    /// Nothing but spaces left; steps over them.
    bool at_end();

    std::size_t place() const { return at_; }
    void go_to(std::size_t place) { at_ = place; }
    /// What stands at the place, for messages.
    std::string found();

    /// Throws ErrorKind::usage: "genotype '...', line 1, column 7: ...".
    template <class... Args>
    [[noreturn]] void fail_at(std::size_t place, fmt::format_string<Args...> format, Args&&... args) const {
        refuse(place, fmt::format(format, std::forward<Args>(args)...));
    }

  private:
    [[noreturn]] void refuse(std::size_t place, const std::string& message) const;
    bool starts(std::string_view with) const { return text_.substr(at_).substr(0, with.size()) == with; }

    std::string_view text_;
    std::string_view what_;
    std::size_t at_ = 0;
};

}  // namespace nascent
