#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "nas/space/nasbench201.h"
#include "nas/space/nearest_name.h"
#include "tests/nas/digest.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::nb201;
using namespace nascent::test;

namespace {

// Spot values of the published index order.
const std::vector<std::pair<int, std::string>> kSpots = {
    {0, "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"},
    {1, "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"},
    {123, "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"},
    {157, "|avg_pool_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|avg_pool_3x3~0|skip_connect~1|avg_pool_3x3~2|"},
    {284, "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"},
    {857, "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"},
    {1234, "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"},
    {1462, "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"},
    {1651, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"},
    {1835, "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"},
    {4317, "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|"},
    {7581, "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|"},
    {9930, "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"},
    {10676, "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"},
    {11472, "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"},
    {13714, "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"},
    {15624, "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|"},
};

/// The message of the error that parsing `text` throws.
template <class Parse>
std::string message(Parse parse, const std::string& text) {
    return error_of(ErrorKind::usage, [&] { parse(text); });
}

}  // namespace

TEST_CASE("MD5 and CRC-32 of the test vectors") {
    CHECK(nascent_tests::md5("") == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(nascent_tests::md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890") ==
          "57edf4a22be3c955ac49da2e2107b67a");
    CHECK(nascent_tests::crc32("123456789") == "cbf43926");
}

TEST_CASE("the official order of all architectures") {
    std::string list;
    std::vector<bool> seen(kArchitectures);
    for (int i = 0; i < kArchitectures; ++i) {
        Architecture arch = from_official_index(i);
        CHECK(official_index(arch) == i);
        seen[static_cast<std::size_t>(arch.id())] = true;
        list += fmt::format("{}{}", i ? "\n" : "", to_string(arch));
    }
    CHECK(std::count(seen.begin(), seen.end(), true) == kArchitectures);
    CHECK(nascent_tests::md5(list) == "1985aacc268bf045d31ddeecaaac0dc0");
    for (const auto& [index, text] : kSpots) {
        CHECK(to_string(from_official_index(index)) == text);
        CHECK(official_index(parse_architecture(text)) == index);
    }
    CHECK_THROWS_AS(from_official_index(-1), Error);
    CHECK_THROWS_AS(from_official_index(kArchitectures), Error);
}

TEST_CASE("lexicographic ids, strings and tuples round-trip") {
    CHECK(Architecture::from_id(0) == Architecture{});
    CHECK(Architecture::from_id(1).on(3, 2) == Op::skip_connect);     // last edge fastest
    CHECK(Architecture::from_id(3125).on(1, 0) == Op::skip_connect);  // first edge slowest
    Architecture previous;
    for (int id = 0; id < kArchitectures; ++id) {
        Architecture arch = Architecture::from_id(id);
        CHECK(arch.id() == id);
        if (id > 0) CHECK(previous < arch);
        previous = arch;
        CHECK(parse_architecture(to_string(arch)) == arch);
        CHECK(parse_architecture(to_tuple(arch)) == arch);
        CHECK(parse_cell(to_string(arch)) == to_cell(arch));
        CHECK(to_architecture(to_cell(arch)) == arch);
    }
    CHECK_THROWS_AS(Architecture::from_id(-1), Error);
    CHECK_THROWS_AS(Architecture::from_id(kArchitectures), Error);
}

TEST_CASE("texts as people write them") {
    Architecture arch{
        {Op::skip_connect, Op::none, Op::avg_pool_3x3, Op::avg_pool_3x3, Op::nor_conv_1x1, Op::nor_conv_1x1}};
    const std::string canonical =
        "|skip_connect~0|+|none~0|avg_pool_3x3~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|";
    CHECK(to_string(arch) == canonical);
    CHECK(to_tuple(arch) == "(1,0,4,4,2,2)");
    for (const std::string& text : {
             canonical,
             fmt::format("  {}\n", canonical),
             fmt::format("\"{}\"", canonical),
             std::string("skip_connect~0+none~0|avg_pool_3x3~1+avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2"),
             std::string("| skip_connect ~ 0 | +\n | avg_pool_3x3~1 | none~0 |\r\n+ "
                         "||avg_pool_3x3~0||nor_conv_1x1~1|nor_conv_1x1~2||"),
             std::string("(1,0,4,4,2,2)"),
             std::string("[1, 0, 4, 4, 2, 2]"),
             std::string(" 1,0,4,4,2,2 "),
             fmt::format("#{}", official_index(arch)),
             fmt::format(" # {} ", official_index(arch)),
         }) {
        CAPTURE(text);
        CHECK(parse_architecture(text) == arch);
    }
    // A text ends where its view does, whatever stands behind.
    const std::string longer = "#99300" + canonical + "x";
    CHECK(parse_architecture(std::string_view(longer).substr(0, 5)) == parse_architecture("#9930"));
    CHECK(parse_architecture(std::string_view(longer).substr(6, canonical.size())) == arch);
    auto refused = [](std::string_view view) { return error_of(ErrorKind::usage, [&] { parse_architecture(view); }); };
    CHECK(refused(std::string_view("(1,0   ").substr(0, 4)) == refused("(1,0"));
    CHECK(parse_architecture("#9930") == parse_architecture("(3,3,3,1,3,3)"));
}

TEST_CASE("errors name the text, the column and what was expected") {
    auto parse = [](const std::string& text) { return parse_architecture(text); };
    auto expect = [&](const std::string& text, std::initializer_list<const char*> parts) {
        CAPTURE(text);
        std::string m = message(parse, text);
        CAPTURE(m);
        for (const char* part : parts) CHECK(contains(m, part));
    };
    expect("", {"''", "column 1", "#index"});
    expect("|nor_conv_3x5~0|+|none~0|none~1|+|none~0|none~1|none~2|",
           {"|nor_conv_3x5~0|", "column 2", "nor_conv_3x5", "nearest: nor_conv_3x3"});
    expect("|none~0|+|none~0|none~1|+|none~0|skip~1|none~2|", {"column 34", "nearest: skip_connect"});
    expect("|none~0|+|none~0|none~1|+|none~0|none~1|", {"column 41", "node 3 has no input from node 2", "none~2"});
    expect("|none~0|+|none~0|none~1|", {"column 25", "'+' and node 3", "the text ends"});
    expect("|none~0|+|none~0|none~0|none~1|+|none~0|none~1|none~2|", {"two inputs from node 0"});
    expect("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", {"column 7", "nodes 0..0, not from 1"});
    expect("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|", {"column 48", "nothing after node 3"});
    expect("|none|+|none~0|none~1|+|none~0|none~1|none~2|", {"column 6", "'~'", "found '|'"});
    expect("|none~x|+|none~0|none~1|+|none~0|none~1|none~2|", {"column 7", "number of the source node"});
    expect("|none~99999999999|+|none~0|", {"column 7", "number"});
    expect("|none~0 none~0|", {"column 9", "expected '|' or '+'"});
    expect("||+|none~0|none~1|+|none~0|none~1|none~2|", {"column 3", "node 1 has no input"});
    expect("(1,0,4,4,2)", {"column 11", "','", "6 of 6"});
    expect("(1,0,4,4,2,2,2)", {"column 13", "')'"});
    expect("(1,0,4,4,2,2", {"column 13", "')'", "ends"});
    expect("(1,0,5,4,2,2)", {"column 6", "0..4", "edge 2<-1", "found 5"});
    expect("(1,0,-1,4,2,2)", {"column 6", "0..4", "found '-'"});
    expect("9930", {"0..4"});
    expect("#15625", {"column 1", "0..15624"});
    expect("#", {"0..15624"});
    expect("#12 x", {"column 5", "nothing after the index"});
    expect("#99999999999999999999", {"0..15624"});
    CHECK(message(parse, std::string(100000, 'x')).size() < 1000);  // long texts are cut
    CHECK(message(parse, std::string("|none~0|\0+", 10)) != "");
    CHECK(op_from_name("avg_pool_3x3") == Op::avg_pool_3x3);
    CHECK(contains(message(op_from_name, "avg_pool"), "nearest: avg_pool_3x3"));
    CHECK(nearest_name("x", {}) == "");
    const std::array<std::string_view, 2> names{"reach", "epics"};
    CHECK(nearest_name("epoch", names) == "epics");
}

TEST_CASE("mutilated texts are read or refused, never anything else") {
    const std::string good = to_string(Architecture::from_id(7777));
    const std::string letters = "|+~0123#(), nx_\xff";
    int read = 0, refused = 0;
    for (std::size_t at = 0; at <= good.size(); ++at) {
        for (char c : letters) {
            std::string cut = good.substr(0, at), inserted = good, replaced = good;
            inserted.insert(at, 1, c);
            if (at < good.size()) replaced[at] = c;
            for (const std::string& text : {cut, inserted, replaced}) {
                try {
                    Architecture arch = parse_architecture(text);
                    CHECK(arch.id() < kArchitectures);
                    ++read;
                } catch (const Error& e) {
                    CHECK(e.kind() == ErrorKind::usage);
                    ++refused;
                }
            }
        }
    }
    CHECK(read > 100);
    CHECK(refused > 1000);
}

TEST_CASE("sparse and multi-operator cells") {
    const std::string resnet = "|nor_conv_3x3~0|+|nor_conv_3x3~1|+|skip_connect~0|skip_connect~2|";
    CellText cell = parse_cell(resnet);
    CHECK(to_string(cell) == resnet);
    CHECK(cell.nodes[2][1] == CellText::Input{Op::skip_connect, 2});
    CHECK(official_index(to_architecture(cell)) == 11472);
    CHECK_THROWS_AS(parse_architecture(resnet), Error);
    const std::string full = "|skip_connect~0|nor_conv_1x1~0|nor_conv_3x3~0|avg_pool_3x3~0|+|none~0|none~1|none~1|";
    CHECK(to_string(parse_cell(full)) == full);
    CHECK(contains(message([](const std::string& t) { return to_architecture(parse_cell(t)); }, full), "2 nodes"));
    CHECK(contains(message([](const std::string& t) { return to_architecture(parse_cell(t)); },
                           "|none~0|skip_connect~0|+|none~0|+|none~0|"),
                   "two operators on the edge 1<-0"));
    std::string deep = "none~0";
    for (int i = 1; i < 64; ++i) deep += "+none~0";
    CHECK(parse_cell(deep).nodes.size() == 64);
    CHECK(contains(message(parse_cell, deep + "+none~0"), "64 nodes"));
    CHECK(contains(message(parse_cell, "none~0+"), "node 2 has no input"));
}

TEST_CASE("connected architectures and unique strings over the whole space") {
    int connected = 0;
    std::set<std::string> plain, skips, zeros;
    for (int id = 0; id < kArchitectures; ++id) {
        Architecture arch = Architecture::from_id(id);
        auto used = [&](int to, int from) { return arch.on(to, from) != Op::none; };
        bool path = used(3, 0) || (used(1, 0) && used(3, 1)) || (used(2, 0) && used(3, 2)) ||
                    (used(1, 0) && used(2, 1) && used(3, 2));
        CHECK(is_connected(arch) == path);
        connected += is_connected(arch);
        plain.insert(unique_string(arch, Simplify::plain));
        skips.insert(unique_string(arch, Simplify::skips));
        zeros.insert(unique_string(arch, Simplify::zeros));
    }
    CHECK(connected == 15284);
    CHECK(plain.size() == 15625);
    CHECK(skips.size() == 12751);
    CHECK(zeros.size() == 6466);
    CHECK(unique_string(from_official_index(1), Simplify::zeros) ==
          "((0)@nor_conv_3x3)@avg_pool_3x3+(0)@nor_conv_3x3+((0)@nor_conv_3x3)@nor_conv_3x3+0");
}
