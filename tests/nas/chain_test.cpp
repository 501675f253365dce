// Architectures of chains as text: tuples, lists, MMRazor's subnet files, published names.
#include "nas/space/chain.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "engine/base/error.h"
#include "nas/space/chain_published.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::chain;
using namespace nascent::test;

namespace {

std::string refusal(const Space& s, const std::string& text) {
    return error_of(ErrorKind::usage, [&] { parse_architecture(s, text); });
}

const char* const kReadme = "(2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)";

}  // namespace

TEST_CASE("tuples and lists of operators as people paste them") {
    const Space s = space("shufflenet");
    const Architecture readme = parse_architecture(s, kReadme);
    CHECK(readme.ops == std::vector<int>{2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3});
    CHECK(to_string(readme) == kReadme);
    for (const char* text : {
             "2 1 0 1 2 0 2 0 2 0 2 3 0 0 0 0 3 2 3 3",
             "[2,1,0,1,2,0,2,0,2,0,2,3,0,0,0,0,3,2,3,3]",
             "  [2, 1, 0, 1, 2, 0, 2, 0, 2, 0,\n 2, 3, 0, 0, 0, 0, 3, 2, 3, 3,]\n",
             "arch = (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)",
             "tuple([2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3])",
             "\"cand\": \"(2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)\"",
             "'2 1 0 1 2 0 2 0 2 0 2 3 0 0 0 0 3 2 3 3'",
             "[['2', '1', '0', '1', '2', '0', '2', '0', '2', '0', '2', '3', '0', '0', '0', '0', '3', '2', '3', '3']]",
             "shuffle_7x7 shuffle_5x5 shuffle_3x3 1 2 0 2 0 2 0 2 shuffle_xception 0 0 0 0 3 2 3 3",
         }) {
        CAPTURE(std::string(text));
        CHECK(parse_architecture(s, text) == readme);
    }
    const Space m = space("mobilenet");
    const Architecture abs = parse_architecture(m, "2 2 -1 0 0 -1 -1 0 5 -1 4 4 0 0 4 2 3 4 4 4 3");
    CHECK(abs.ops[2] == kIdentity);
    CHECK(to_string(abs) == "(2, 2, -1, 0, 0, -1, -1, 0, 5, -1, 4, 4, 0, 0, 4, 2, 3, 4, 4, 4, 3)");
    CHECK(parse_architecture(m, to_string(abs)) == abs);
    CHECK(parse_architecture(m, "2,2,identity,mb_k3e3,0,-1,-1,0,mb_k7e6,-1,4,4,0,0,4,2,3,4,4,4,3") == abs);
}

TEST_CASE("channel scales") {
    const Space s = space("shufflenet-channels");
    const Architecture found = published_architecture(s, "328M_block_channel");
    CHECK(found.scales == std::vector<int>{6, 5, 3, 5, 2, 6, 3, 4, 2, 5, 7, 5, 4, 6, 7, 4, 4, 5, 4, 3});
    CHECK(parse_architecture(s, to_string(found)) == found);
    const std::string ops = "0 0 3 1 1 1 0 0 2 0 2 1 1 0 2 0 2 1 3 2",
                      scales = "6 5 3 5 2 6 3 4 2 5 7 5 4 6 7 4 4 5 4 3";
    for (const std::string& text :
         {"(" + ops + "), (" + scales + ")", "[[" + ops + "], [" + scales + "]]", ops + " / " + scales,
          "arch = (" + ops + ");\nchannels_scales = (" + scales + ")", ops + "|" + scales}) {
        CAPTURE(text);
        CHECK(parse_architecture(s, text) == found);
    }
    const Architecture plain = parse_architecture(s, ops);
    CHECK(plain.scales == std::vector<int>(20, kUnscaled));
    CHECK(parse_architecture(s, to_string(plain)) == plain);
    const std::string ends = "0 7" + scales.substr(3);  // the narrowest and the widest
    CHECK(parse_architecture(s, ops + " / " + ends).scales[0] == 0);
    CHECK(contains(refusal(s, ops + " / -1 5 3"), "of block 0, found -1"));
    CHECK(contains(refusal(s, ops + " / ,6 5 3"), "of block 0, found ','"));
    CHECK(contains(refusal(s, ops + " / 8 5 3"), "expected the channel scale 0..7 of block 0, found 8"));
    CHECK(contains(refusal(s, ops + " / 6 5 3"), "of block 3, the text ends there"));
    CHECK(contains(refusal(space("shufflenet"), ops + " / " + scales), "expected nothing after the operators"));
    const Space wide = space("shufflenet-channels", {.first_scale = 5, .last_scale = 9});
    CHECK(contains(refusal(wide, ops), "without channel scales") == false);
    CHECK(contains(refusal(wide, ops), "block 0 cannot have channel scale 4"));
}

TEST_CASE("what is no architecture of a chain is refused with the place and what was expected") {
    const Space s = space("shufflenet"), m = space("mobilenet");
    CHECK(
        contains(refusal(s, ""), "architecture '', line 1, column 1: expected the operator of block 0 (of 20 blocks)"));
    CHECK(contains(refusal(s, "(2, 1"), "line 1, column 6: expected the operator of block 2"));
    CHECK(
        contains(refusal(s, "(2, 1\n, 4)"), "line 2, column 3: block 2 cannot have operator 4; expected one of 0, 1"));
    CHECK(contains(refusal(s, "(2, 1, -1)"), "block 2 cannot have operator -1"));
    CHECK(contains(refusal(s, "(2, x)"), "no operator of the space shufflenet is called 'x'"));
    CHECK(contains(refusal(s, "(2, shuffle_9x9)"), "nearest: shuffle_3x3"));
    CHECK(contains(refusal(s, "(2, 99999999999)"), "no operator of the space shufflenet is called '99999999999'"));
    CHECK(contains(refusal(s, "2,,1"), "block 1"));
    CHECK(contains(refusal(s, ",2"), "column 1: expected the operator of block 0"));
    CHECK(contains(refusal(s, std::string(kReadme) + " 1"),
                   "expected nothing after the operators of 20 blocks, found '1'"));
    CHECK(contains(refusal(s, std::string(kReadme).substr(0, 59)), "expected ')', the text ends there"));
    CHECK(contains(refusal(s, std::string(kReadme) + ")"), "closes no bracket"));
    CHECK(contains(refusal(s, std::string(kReadme).substr(0, 59) + "]"), "found ']', which closes no bracket"));
    CHECK(contains(refusal(s, "((((((" + std::string(kReadme)), "at most 4 brackets"));
    CHECK(contains(refusal(s, std::string(2'000'000, ' ')), "2000000 bytes"));
    CHECK(contains(refusal(m, "-1 2"), "block 0 cannot have operator -1"));
    CHECK(contains(refusal(m, "0 - 1 2 3 6"), "block 4 cannot have operator 6"));
    CHECK(contains(refusal(m, kReadme), "the operator of block 20"));
    CHECK(refusal(space("mobilenet-mmrazor"), "-1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1") == "");
}

TEST_CASE("MMRazor's subnet files") {
    const Space s = space("shufflenet-mmrazor"), m = space("mobilenet-mmrazor");
    for (const Space* of : {&s, &m}) {
        for (const Published& p : published_architectures()) {
            if (!in_space(p, *of)) continue;
            const Architecture arch = parse_architecture(*of, p.text);
            CHECK(parse_architecture(*of, to_yaml(*of, arch)) == arch);
        }
    }
    const Architecture arch = published_architecture(s, "SPOS_SUBNET");
    const std::string yaml = to_yaml(s, arch);
    CHECK(
        yaml.starts_with("backbone.layers.0.0:\n  chosen: shuffle_7x7\nbackbone.layers.0.1:\n  chosen: shuffle_3x3\n"));
    CHECK(to_yaml(m, published_architecture(m, "RLNAS"))
              .starts_with("backbone.layer1.0:\n  chosen: mb_k3e1\nbackbone.layer2.0:\n  chosen: mb_k5e3\n"));
    // Other forms of the same.
    std::string flow = "---\n# found on Sunday\n", json = "{", old = "", reversed = "", other = "";
    for (const Block& b : s.blocks) {
        const std::string module = s.module_name(b), name(s.op(arch.ops[static_cast<std::size_t>(b.index)]).name);
        flow += "architecture." + module + ": {chosen: " + name + "}  # one\n";
        json += (b.index ? ", \"" : "\"") + module + "\": {\"chosen\": \"" + name + "\"}";
        old += fmt::format("stage_{}_block_{}:\n  chosen:\n  - {}\n", b.stage + 1, b.place, name);
        other += fmt::format("stage_{}_block_{}: {{chosen: [{}]}}\n", b.stage, b.place, name);
        reversed = module + ": {chosen: '" + name + "'}\r\n" + reversed;
    }
    for (const std::string& text : {flow, json + "}", old, other, reversed}) {
        CAPTURE(text);
        CHECK(parse_architecture(s, text) == arch);
    }
    // MobileNets in the older form, with the fixed first block or without it.
    const Architecture rlnas = published_architecture(m, "RLNAS");
    for (const bool fixed : {false, true}) {
        for (const int base : {0, 1}) {
            std::string text = fixed ? fmt::format("stage_{}_block_0:\n  chosen:\n  - mb_k3e1\n", base) : "";
            for (const Block& b : m.blocks)
                text += fmt::format("stage_{}_block_{}:\n  chosen:\n  - {}\n", b.stage + base + fixed, b.place,
                                    m.op(rlnas.ops[static_cast<std::size_t>(b.index)]).name);
            CHECK(parse_architecture(m, text) == rlnas);
        }
    }
    // Wrong ones.
    auto with = [&](const std::string& from, const std::string& to) {
        std::string text = yaml;
        const std::size_t at = text.find(from);
        REQUIRE(at != std::string::npos);
        return text.replace(at, from.size(), to);
    };
    CHECK(contains(refusal(s, with("backbone.layers.3.2:\n  chosen: ", "chosen: ")), "expected"));
    CHECK(contains(refusal(s, with("layers.3.2", "layers.3.4")), "no such block"));
    CHECK(contains(refusal(s, with("layers.3.2", "layers.3.1")), "block 17 stands there twice"));
    CHECK(contains(refusal(s, with("layers.3.2", "layers.9999.1")), "expected a block of the space"));
    CHECK(contains(refusal(s, with("layers.3.2", "layers.9.9")), "no such block"));
    CHECK(contains(refusal(s, with("layers.3.2", "layers.3.x")), "expected a block of the space"));
    CHECK(parse_architecture(s, with("layers.3.2", "layers.003.002")) == arch);
    CHECK(contains(refusal(s, with("layers.3.2", "layers.3.0002")), "expected a block of the space"));
    // A comment begins behind a blank.
    CHECK(parse_architecture(s, with("shuffle_7x7\n", "shuffle_7x7 #x\n")) == arch);
    CHECK(parse_architecture(s, "#x\n" + yaml) == arch);
    CHECK(parse_architecture(s, yaml + "# and no more") == arch);
    CHECK(contains(refusal(s, with("shuffle_7x7\n", "shuffle_7x7# x\n")), "found '#'"));
    // A name has at most 16 parts.
    CHECK(parse_architecture(s, with("backbone.layers.3.2", "a.a.a.a.a.a.a.a.a.a.a.a.backbone.layers.3.2")) == arch);
    CHECK(contains(refusal(s, with("backbone.layers.3.2", "a.a.a.a.a.a.a.a.a.a.a.a.a.backbone.layers.3.2")),
                   "at most 16 parts"));
    CHECK(contains(refusal(s, with("layers.3.2", "stage_4_block_2")), "line 37, column 1: expected one form of names"));
    CHECK(contains(refusal(s, with("shuffle_7x7", "shuffle_9x9")), "line 2, column 11: no operator"));
    CHECK(
        contains(refusal(s, with("chosen: shuffle_7x7", "choice: shuffle_7x7")), "expected 'chosen', found 'choice'"));
    CHECK(contains(refusal(s, with("chosen: shuffle_7x7", "chosen shuffle_7x7")), "expected ':' after 'chosen'"));
    CHECK(contains(refusal(s, with("backbone.layers.0.0", "backbone..0")), "expected the name of a block"));
    CHECK(contains(refusal(s, with("chosen: shuffle_7x7", "chosen: [shuffle_7x7, shuffle_3x3]")), "expected ']'"));
    CHECK(contains(refusal(s, yaml.substr(0, yaml.find("backbone.layers.3.3"))),
                   "block 19 (backbone.layers.3.3) is missing"));
    CHECK(contains(refusal(s, "chosen"), "expected ':'"));
    CHECK(contains(refusal(s, "# chosen"), "expected blocks such as backbone.layers.0.0: {chosen: shuffle_3x3}"));
    CHECK(contains(refusal(s, "{" + flow), "expected '}'"));
    CHECK(contains(refusal(space("mobilenet"), to_yaml(m, published_architecture(m, "all_identity"))),
                   "block 0 cannot have operator -1"));
    CHECK(contains(refusal(m, "backbone.layer1.0: {chosen: mb_k3e3}"), "expected mb_k3e1"));
    CHECK_THROWS_AS(to_yaml(space("shufflenet-channels"),
                            published_architecture(space("shufflenet-channels"), "328M_block_channel")),
                    Error);
}

TEST_CASE("published architectures of chains") {
    for (std::string_view name : kSpaces) {
        CAPTURE(std::string(name));
        const Space s = space(name);
        std::set<std::string_view> names;
        std::set<std::string> texts;
        int here = 0;
        for (const Published& p : published_architectures()) {
            if (!in_space(p, s)) continue;
            ++here;
            CAPTURE(std::string(p.name));
            CHECK(names.insert(p.name).second);
            if (!p.also.empty()) CHECK(names.insert(p.also).second);
            const Architecture arch = parse_architecture(s, p.text);
            CHECK(texts.insert(to_string(arch)).second);
            CHECK(architecture_from(s, p.name) == arch);
            CHECK(architecture_from(s, " '" + std::string(p.also.empty() ? p.name : p.also) + "'\n") == arch);
            CHECK(architecture_from(s, p.text) == arch);
            CHECK(published_name(s, arch) == p.name);
            if (p.space == name) CHECK(to_string(arch) == p.text);
        }
        CHECK(here >= 1);
    }
    const Space s = space("mobilenet");
    CHECK(published_name(s, parse_architecture(s, "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1")).empty());
    std::string m;
    try {
        architecture_from(s, "SPOS_ABC");
    } catch (const Error& e) {
        m = e.what();
    }
    CHECK(contains(m, "no architecture of the space mobilenet is called 'SPOS_ABC'; nearest: SPOS_ABS"));
    CHECK_THROWS_AS(architecture_from(s, "arch_README"), Error);
    CHECK_THROWS_AS(architecture_from(s, "all_identity"), Error);  // only MMRazor allows it
}
