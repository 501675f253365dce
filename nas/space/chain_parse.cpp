// Reading architectures of chains as people write them.
#include "nas/space/chain_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "nas/space/nearest_name.h"

namespace nascent::chain {
namespace {

constexpr std::size_t kMaxText = 1 << 20;

/// Opening brackets, remembered so that their closing ones can be told apart from others.
class Brackets {
  public:
    void open(TextCursor& in) {
        for (;;) {
            const std::size_t place = in.place();
            const char close = in.take('(') ? ')' : in.take('[') ? ']' : '\0';
            if (!close) return;
            if (expected_.size() == 4) in.fail_at(place, "expected at most 4 brackets in each other");
            expected_ += close;
        }
    }
    void close(TextCursor& in) {
        for (;;) {
            const std::size_t place = in.place();
            const char next = in.peek();
            if (next != ')' && next != ']') return;
            if (expected_.empty() || expected_.back() != next)
                in.fail_at(place, "found '{}', which closes no bracket", next);
            expected_.pop_back();
            in.take(next);
        }
    }
    void check_closed(TextCursor& in) const {
        if (!expected_.empty()) in.fail_at(in.place(), "expected '{}', {}", expected_.back(), in.found());
    }

  private:
    std::string expected_;
};

void skip_quotes(TextCursor& in) {
    while (in.take_quote()) {
    }
}

/// `arch = `, `tuple` or `"architecture":` before the list.
void skip_title(TextCursor& in) {
    const std::size_t start = in.place();
    const std::string_view word = in.word();
    skip_quotes(in);
    if (word.empty() || std::isdigit(static_cast<unsigned char>(word[0])) ||
        !(in.take('=') || in.take(':') || in.peek() == '('))
        in.go_to(start);
    skip_quotes(in);
}

std::string names_of(const Space& s) {
    std::string all;
    for (const Op& o : s.ops) all += fmt::format("{}{} ({})", all.empty() ? "" : ", ", o.id, o.name);
    return all;
}

/// A number that may be negative; nothing, and no step, where there is none.
std::optional<int> integer(TextCursor& in) {
    in.skip_space();
    const std::size_t from = in.place();
    const bool negative = in.take('-');
    if (const std::optional<int> n = in.number()) return negative ? -*n : *n;
    in.go_to(from);
    return std::nullopt;
}

int read_gene(const Space& s, const Block& b, TextCursor& in) {
    skip_quotes(in);
    in.skip_space();
    const std::size_t place = in.place();
    std::optional<int> id = integer(in);
    if (!id) {
        const std::string_view name = in.word();
        if (name.empty())
            in.fail_at(place, "expected the operator of block {} (of {} blocks): {}; {}", b.index, s.blocks.size(),
                       names_of(s), in.found());
        id = op_named(s, in, place, name);
    }
    skip_quotes(in);
    check_op(b, in, place, *id);
    return *id;
}

/// Blanks, or one comma among them.
void between(TextCursor& in) {
    skip_quotes(in);
    in.take(',');
}

std::vector<int> read_scales(const Space& s, TextCursor& in) {
    std::vector<int> scales;
    for (const Block& b : s.blocks) {
        if (b.index > 0) between(in);
        in.skip_space();
        const std::size_t place = in.place();
        const std::optional<int> id = integer(in);
        if (!id || *id < s.config.first_scale || *id > s.config.last_scale)
            in.fail_at(place, "expected the channel scale {}..{} of block {}, {}", s.config.first_scale,
                       s.config.last_scale, b.index, id ? fmt::format("found {}", *id) : in.found());
        scales.push_back(*id);
    }
    return scales;
}

Architecture read_lists(const Space& s, TextCursor& in) {
    Architecture arch;
    Brackets brackets;
    skip_quotes(in);
    skip_title(in);
    brackets.open(in);
    for (const Block& b : s.blocks) {
        if (b.index > 0) between(in);
        arch.ops.push_back(read_gene(s, b, in));
    }
    in.take(',');
    brackets.close(in);
    skip_quotes(in);
    if (s.channels && in.at_end()) arch.scales.assign(s.blocks.size(), kUnscaled);
    if (s.channels && !in.at_end()) {
        for (char separator : {',', ';', '/', '|'}) in.take(separator);
        skip_quotes(in);
        skip_title(in);
        brackets.open(in);
        arch.scales = read_scales(s, in);
        in.take(',');
        brackets.close(in);
        skip_quotes(in);
    }
    brackets.check_closed(in);
    if (!in.at_end())
        in.fail_at(in.place(), "expected nothing after the {} of {} blocks, {}",
                   arch.scales.empty() ? "operators" : "channel scales", s.blocks.size(), in.found());
    return arch;
}

}  // namespace

int op_named(const Space& s, TextCursor& in, std::size_t place, std::string_view name) {
    std::vector<std::string_view> names;
    for (const Op& o : s.ops) {
        if (o.name == name) return o.id;
        names.push_back(o.name);
    }
    in.fail_at(place, "no operator of the space {} is called '{}'; nearest: {}", s.name, name.substr(0, 100),
               nearest_name(name, names));
}

void check_op(const Block& b, TextCursor& in, std::size_t place, int id) {
    if (std::find(b.ops.begin(), b.ops.end(), id) == b.ops.end())
        in.fail_at(place, "block {} cannot have operator {}; expected one of {}", b.index, id, fmt::join(b.ops, ", "));
}

Architecture parse_architecture(const Space& s, std::string_view text) {
    NASCENT_CHECK(text.size() <= kMaxText, usage, "an architecture of {} bytes; expected at most {}", text.size(),
                  kMaxText);
    if (text.find("chosen") != std::string_view::npos) {
        Architecture arch = parse_subnet(s, text);
        validate(s, arch);
        return arch;
    }
    TextCursor in(text, "architecture");
    const Architecture arch = read_lists(s, in);
    validate(s, arch);
    return arch;
}

}  // namespace nascent::chain
