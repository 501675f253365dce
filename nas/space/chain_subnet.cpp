// MMRazor's subnet files: a YAML of module names and the operators chosen for them.
#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "nas/space/chain_parse.h"

namespace nascent::chain {
namespace {

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

Architecture parse_subnet(const Space& s, std::string_view text) {
    const std::string bare = without_comments(text);
    TextCursor in(bare, "subnet");
    return read_subnet(s, in);
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
