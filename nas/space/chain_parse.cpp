// Reading architectures of chains as people write them, and MMRazor's subnet files.
#include <algorithm>
#include <cctype>

#include "nas/space/chain.h"
#include "nas/space/nearest_name.h"
#include "nas/space/text_cursor.h"

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

/// What a subnet file says of one module.
struct Entry {
    std::size_t place;
    int stage, block;
    bool old_form;  // stage_I_block_J, where nobody says from what number stages count
    std::string_view chosen;
    std::size_t chosen_place;
};

/// A scalar in or without quotes.
std::string_view scalar(TextCursor& in, const char* what) {
    const char quote = in.take_quote();
    in.skip_space();
    const std::size_t place = in.place();
    const std::string_view word = in.word();
    if (word.empty()) in.fail_at(place, "expected {}, {}", what, in.found());
    if (quote) in.close_quote(quote);
    return word;
}

/// `[name]`, `- name` or `name`.
std::string_view one_name(TextCursor& in) {
    const bool list = in.take('[');
    if (!list) in.take('-');
    const std::string_view name = scalar(in, "the name of the chosen operator");
    if (list) {
        in.take(',');
        if (!in.take(']')) in.fail_at(in.place(), "expected ']' after one chosen operator, {}", in.found());
    }
    return name;
}

/// The dotted words of a module's name, up to its colon.
std::vector<std::string_view> module_words(TextCursor& in) {
    std::vector<std::string_view> words;
    const char quote = in.take_quote();
    do {
        in.skip_space();
        const std::size_t place = in.place();
        words.push_back(in.word());
        if (words.back().empty())
            in.fail_at(place, "expected the name of a block such as backbone.layers.0.0, {}", in.found());
        if (words.size() > 16) in.fail_at(place, "expected a name of at most 16 parts");
    } while (in.take('.'));
    if (quote) in.close_quote(quote);
    if (!in.take(':')) in.fail_at(in.place(), "expected ':' after the name of a block, {}", in.found());
    return words;
}

/// At most three digits as a number, -1 for anything else.
int small_number(std::string_view digits) {
    if (digits.empty() || digits.size() > 3) return -1;
    int value = 0;
    for (char c : digits) {
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

/// Stage and block out of `...layers.S.B` (stages from 0), `...layerS.B` (from 1) or `stage_S_block_B`.
bool place_of(const Space& s, const std::vector<std::string_view>& words, Entry& entry) {
    const std::string_view last = words.back();
    if (last.starts_with("stage_")) {
        const std::size_t middle = last.find("_block_");
        if (middle == std::string_view::npos) return false;
        entry.old_form = true;
        entry.stage = small_number(last.substr(6, middle - 6));
        entry.block = small_number(last.substr(middle + 7));
    } else if (words.size() >= 2 && s.family == Family::mobilenet && words.end()[-2].starts_with("layer")) {
        entry.stage = small_number(words.end()[-2].substr(5));
        entry.block = small_number(last);
    } else if (words.size() >= 3 && s.family == Family::shufflenet && words.end()[-3] == "layers") {
        entry.stage = small_number(words.end()[-2]);
        entry.block = small_number(last);
    }
    return entry.stage >= 0 && entry.block >= 0;
}

Entry read_entry(const Space& s, TextCursor& in) {
    in.skip_space();
    Entry entry{.place = in.place(), .stage = -1, .block = -1, .old_form = false, .chosen = {}, .chosen_place = 0};
    const std::vector<std::string_view> words = module_words(in);
    if (!place_of(s, words, entry))
        in.fail_at(entry.place, "expected a block of the space {}, named as {}", s.name,
                   s.module_name(s.blocks.front()));
    const bool flow = in.take('{');
    const std::size_t field_place = in.place();
    const std::string_view field = scalar(in, "'chosen'");
    if (field != "chosen") in.fail_at(field_place, "expected 'chosen', found '{}'", field.substr(0, 100));
    if (!in.take(':')) in.fail_at(in.place(), "expected ':' after 'chosen', {}", in.found());
    in.skip_space();
    entry.chosen_place = in.place();
    entry.chosen = one_name(in);
    if (flow) {
        in.take(',');
        if (!in.take('}')) in.fail_at(in.place(), "expected '}}' after the chosen operator, {}", in.found());
    }
    return entry;
}

/// Stages as the file counts them, from the space's first one on; the fixed MBConv of MobileNets may have an entry.
int first_stage(const Space& s, const std::vector<Entry>& entries) {
    const bool mobile = s.family == Family::mobilenet;
    if (!entries.front().old_form) return mobile ? 2 : 0;
    int high = 0;
    for (const Entry& e : entries) high = std::max(high, e.stage);
    // Both counts are seen from the last stage: a MobileNet's file may or may not begin with the fixed block.
    return high - s.blocks.back().stage;
}

Architecture read_subnet(const Space& s, TextCursor& in) {
    std::vector<Entry> entries;
    const bool json = in.take('{');
    while (in.take('-')) {  // the line that begins a document
    }
    while (!in.at_end() && in.peek() != '}') {
        entries.push_back(read_entry(s, in));
        if (entries.size() > 256) in.fail_at(entries.back().place, "expected at most {} blocks", s.blocks.size());
        in.take(',');
    }
    if (json && !in.take('}')) in.fail_at(in.place(), "expected '}}' after the last block, {}", in.found());
    if (!in.at_end()) in.fail_at(in.place(), "expected nothing after the last block, {}", in.found());
    if (entries.empty())
        in.fail_at(in.place(), "expected blocks such as {}: {{chosen: {}}}", s.module_name(s.blocks.front()),
                   s.ops.front().name);
    const int first = first_stage(s, entries);
    std::vector<const Entry*> of_block(s.blocks.size());
    for (const Entry& e : entries) {
        if (e.old_form != entries.front().old_form)
            in.fail_at(e.place, "expected one form of names in a file, found stage_S_block_B and others");
        if (s.family == Family::mobilenet && e.stage == first - 1 && e.block == 0) {
            if (e.chosen != "mb_k3e1")
                in.fail_at(e.chosen_place, "expected mb_k3e1, the only choice of the first block");
            continue;
        }
        const auto block = std::find_if(s.blocks.begin(), s.blocks.end(), [&](const Block& b) {
            return b.stage == e.stage - first && b.place == e.block;
        });
        if (block == s.blocks.end()) in.fail_at(e.place, "the space {} has no such block", s.name);
        const Entry*& seen = of_block[static_cast<std::size_t>(block->index)];
        if (seen) in.fail_at(e.place, "block {} stands there twice", block->index);
        seen = &e;
    }
    Architecture arch;
    for (const Block& b : s.blocks) {
        const Entry* e = of_block[static_cast<std::size_t>(b.index)];
        if (!e) in.fail_at(in.place(), "block {} ({}) is missing", b.index, s.module_name(b));
        const int id = op_named(s, in, e->chosen_place, e->chosen);
        check_op(b, in, e->chosen_place, id);
        arch.ops.push_back(id);
    }
    if (s.channels) arch.scales.assign(s.blocks.size(), kUnscaled);
    return arch;
}

/// Comments of YAML as blanks, so that places stay what they are.
std::string without_comments(std::string_view text) {
    std::string result(text);
    bool comment = false;
    for (std::size_t i = 0; i < result.size(); ++i) {
        if (result[i] == '\n') comment = false;
        if (result[i] == '#' && (i == 0 || std::isspace(static_cast<unsigned char>(result[i - 1])))) comment = true;
        if (comment) result[i] = ' ';
    }
    return result;
}

}  // namespace

Architecture parse_architecture(const Space& s, std::string_view text) {
    NASCENT_CHECK(text.size() <= kMaxText, usage, "an architecture of {} bytes; expected at most {}", text.size(),
                  kMaxText);
    if (text.find("chosen") != std::string_view::npos) {
        const std::string bare = without_comments(text);
        TextCursor in(bare, "subnet");
        const Architecture arch = read_subnet(s, in);
        validate(s, arch);
        return arch;
    }
    TextCursor in(text, "architecture");
    const Architecture arch = read_lists(s, in);
    validate(s, arch);
    return arch;
}

std::string to_yaml(const Space& s, const Architecture& arch) {
    validate(s, arch);
    NASCENT_CHECK(arch.scales.empty(), usage, "MMRazor's subnet files have no place for channel scales");
    std::string yaml;
    if (s.family == Family::mobilenet) yaml = "backbone.layer1.0:\n  chosen: mb_k3e1\n";
    for (const Block& b : s.blocks)
        yaml += fmt::format("{}:\n  chosen: {}\n", s.module_name(b),
                            s.op(arch.ops[static_cast<std::size_t>(b.index)]).name);
    return yaml;
}

}  // namespace nascent::chain
