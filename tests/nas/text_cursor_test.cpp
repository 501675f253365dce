// The cursor that readers of pasted text step with, method by method, and the nearest name.
#include "nas/space/text_cursor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "nas/space/nearest_name.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::test;

namespace {

/// Where a cursor stands after its spaces.
std::size_t behind_spaces(std::string_view text) {
    TextCursor in(text, "text");
    in.skip_space();
    return in.place();
}

/// The distance by its recursive definition.
std::size_t distance(std::string_view a, std::string_view b) {
    if (a.empty() || b.empty()) return a.size() + b.size();
    const std::size_t replaced = distance(a.substr(1), b.substr(1)) + (a[0] != b[0]);
    return std::min({replaced, 1 + distance(a.substr(1), b), 1 + distance(a, b.substr(1))});
}

}  // namespace

TEST_CASE("what a text cursor takes for spaces") {
    CHECK(behind_spaces("") == 0);
    CHECK(behind_spaces(" \t\r\nx") == 4);
    CHECK(behind_spaces("<br>x") == 4);
    CHECK(behind_spaces("<br/><br> x") == 10);
    CHECK(behind_spaces("<b>") == 0);
    CHECK(behind_spaces("\\\nx") == 2);  // a line that goes on
    CHECK(behind_spaces("\\nnn") == 2);  // a line break as its escape
    CHECK(behind_spaces("\\\\n") == 0);
    CHECK(behind_spaces("\\tn") == 0);
    CHECK(behind_spaces("\\") == 0);
    // A text ends where its view does.
    CHECK(behind_spaces(std::string_view("\\n").substr(0, 1)) == 0);
    CHECK(behind_spaces(std::string_view("  ").substr(0, 1)) == 1);
    CHECK(behind_spaces(std::string_view("<br>").substr(0, 3)) == 0);
}

TEST_CASE("words, numbers and single characters under a text cursor") {
    TextCursor in(" a_1B, 12 123456789 1234567890 12x -1 z", "text");
    CHECK(in.peek() == 'a');
    CHECK(in.word() == "a_1B");
    CHECK(in.word() == "");
    CHECK_FALSE(in.take(';'));
    CHECK(in.take(','));
    CHECK(in.number() == 12);
    CHECK(in.number() == 123456789);
    for (const char* no_number : {"1234567890", "12x", ""}) {  // of ten digits, with a letter, of none
        CHECK_FALSE(in.number().has_value());
        CHECK(in.word() == no_number);
    }
    CHECK(in.take('-'));
    CHECK(in.number() == 1);
    CHECK_FALSE(in.at_end());
    CHECK(in.word() == "z");
    CHECK(in.at_end());
    CHECK(in.peek() == '\0');
    CHECK_FALSE(in.take('\0'));
    CHECK(in.found() == "the text ends there");
    CHECK(TextCursor("a\xc3", "text").found() == "found 'a'");
    CHECK(TextCursor("~", "text").found() == "found '~'");
    CHECK(TextCursor("\x7f", "text").found() == "found byte 0x7f");
    CHECK(TextCursor("\xc3\xa4", "text").found() == "found byte 0xc3");
    CHECK(TextCursor("\x01", "text").found() == "found byte 0x01");
}

TEST_CASE("quotation marks under a text cursor") {
    TextCursor in("'\"`\\'\xe2\x80\x98\xe2\x80\x99\xe2\x80\x9c\\\xe2\x80\x9d x'", "text");
    for (char mark : {'\'', '"', '`', '\'', '\'', '\'', '"', '"'}) CHECK(in.take_quote() == mark);
    const std::size_t place = in.place() + 1;
    CHECK_FALSE(in.only_quotes_left());
    CHECK(in.take_quote() == '\0');
    CHECK(in.place() == place);  // behind the space
    CHECK(in.word() == "x");
    CHECK(in.only_quotes_left());
    CHECK(in.take_quote() == '\'');
    CHECK(in.only_quotes_left());

    TextCursor escaped("\\x", "text");
    CHECK(escaped.take_quote() == '\0');
    CHECK(escaped.place() == 0);

    TextCursor closed("' \"", "text");
    closed.close_quote('\'');
    CHECK(closed.place() == 1);
    const std::string refused = error_of(ErrorKind::usage, [&] { closed.close_quote('\''); });
    CHECK(contains(refused, "column 2: expected ' after the name, found '\"'"));
}

TEST_CASE("a text cursor steps behind a call") {
    auto behind = [](std::string_view text) {
        TextCursor in(text, "text");
        return in.skip_past_call("Genotype") ? static_cast<int>(in.place()) : -1;
    };
    CHECK(behind("Genotype(x") == 9);
    CHECK(behind("Genotype (x") == 10);
    CHECK(behind("a.Genotype(x") == 11);
    CHECK(behind("aGenotype(x") == -1);  // another word
    CHECK(behind("Genotypes(x") == -1);
    CHECK(behind("GenotypeGenotype(x") == -1);
    CHECK(behind("Genotype Genotype(x Genotype(y") == 18);
    CHECK(behind("") == -1);
    TextCursor in("Genotypes", "text");
    in.go_to(3);
    CHECK_FALSE(in.skip_past_call("Genotype"));
    CHECK(in.place() == 3);
}

TEST_CASE("refusals name line and column, both from 1") {
    auto refused = [](std::string_view text, std::size_t place) {
        return error_of(ErrorKind::usage, [&] { TextCursor(text, "thing").fail_at(place, "no {}", 7); });
    };
    CHECK(refused("ab", 0) == "thing 'ab', line 1, column 1: no 7");
    CHECK(refused("ab", 2) == "thing 'ab', line 1, column 3: no 7");
    CHECK(refused("ab", 9) == refused("ab", 2));  // what is behind the text is its end
    CHECK(refused("ab\nc\nde", 6) == "thing 'ab c de', line 3, column 2: no 7");
    CHECK(refused("ab\nc\nde", 5) == "thing 'ab c de', line 3, column 1: no 7");
    CHECK(refused("ab\nc\nde", 4) == "thing 'ab c de', line 2, column 2: no 7");
    const std::string text(200, 'x');
    CHECK(contains(refused(text, 0), "'" + text + "',"));
    CHECK(contains(refused(text + "y", 0), "'" + text + "...',"));
}

TEST_CASE("the nearest name is the one of the fewest changes, or one with the text in it") {
    const std::array<std::string_view, 5> names{"abc", "abd", "b", "cabd", "bbbbb"};
    for (int i = 0; i < 81; ++i) {
        std::string text;
        for (int n = i; n > 0; n /= 3) text += static_cast<char>('a' + n % 3);
        std::string_view best;
        std::size_t fewest = 0;
        for (std::string_view name : names) {
            const bool part = !text.empty() && name.find(text) != name.npos;
            const std::size_t changes = part ? 0 : 1 + distance(text, name);
            if (best.empty() || changes < fewest) best = name, fewest = changes;
        }
        CHECK(nearest_name(text, names) == best);
    }
    CHECK(without_quotes(" \"`'a' b'\n") == "a' b");
    CHECK(without_quotes("' '") == "");
    CHECK(index_of_name("name", "b", names) == 2);
    CHECK(contains(error_of(ErrorKind::usage, [&] { index_of_name("letter", "x", names); }),
                   "no letter is called 'x'; nearest: "));
}
