// Genotypes of the DARTS space: text and published cells.
#include <doctest/doctest.h>

#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/darts.h"
#include "nas/space/darts_genotypes.h"
#include "nas/space/nasbench201.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::darts;
using namespace nascent::test;

namespace {

const std::string kV2 =
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))";
// The smallest genotype; errors are made from it.
const std::string kSmall =
    "Genotype(normal=[('none', 0), ('none', 1)], normal_concat=[2], reduce=[('none', 0), ('none', 1)], "
    "reduce_concat=[2])";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

void expect_error(const std::string& text, std::initializer_list<const char*> parts) {
    CAPTURE(text);
    const std::string m = error_of(ErrorKind::usage, [&] { parse_genotype(text); });
    CAPTURE(m);
    for (const char* part : parts) CHECK(contains(m, part));
}

}  // namespace

TEST_CASE("operators of the DARTS space have the numbers of alpha's columns") {
    const std::vector<std::string> original = {"none",         "max_pool_3x3", "avg_pool_3x3", "skip_connect",
                                               "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"};
    CHECK(kPrimitives == original.size());
    for (std::size_t i = 0; i < original.size(); ++i) {
        CHECK(op_name(static_cast<Op>(i)) == original[i]);
        CHECK(op_from_name(original[i]) == static_cast<Op>(i));
    }
    CHECK(op_from_name("sep_conv_7x7") == Op::sep_conv_7x7);
    CHECK(op_from_name("conv_7x1_1x7") == Op::conv_7x1_1x7);
    CHECK(contains(error_of(ErrorKind::usage, [] { op_from_name("sep_conv_9x9"); }), "nearest: sep_conv_3x3"));
    CHECK(contains(error_of(ErrorKind::usage, [] { op_name(static_cast<Op>(10)); }), "0..9"));
}

TEST_CASE("genotypes as people paste them") {
    const Genotype v2 = parse_genotype(kV2);
    CHECK(v2.normal[7] == Gene{Op::dil_conv_3x3, 2});
    CHECK(v2.reduce[2] == Gene{Op::skip_connect, 2});
    CHECK(v2.normal_concat == std::vector<int>{2, 3, 4, 5});
    CHECK(to_string(v2) == kV2);
    const std::string bare = kV2.substr(9, kV2.size() - 10);
    std::string positional = kV2;
    for (const char* field : {"normal_concat=", "reduce_concat=", "normal=", "reduce="}) {
        positional = replaced(positional, field, "");
    }
    std::string squared = replaced(kV2, "('", "['");
    for (const char* end : {"0", "1", "2"}) squared = replaced(squared, std::string(end) + ")", std::string(end) + "]");
    const std::size_t reduce = bare.find("reduce=");
    for (const std::string& text : {
             replaced(kV2, "range(2, 6)", "[2, 3, 4, 5]"),
             replaced(kV2, "range(2, 6)", "(2,3,4,5,)"),
             replaced(kV2, "range(2, 6)", "list(range(2,6))"),
             replaced(kV2, "range(2, 6)", "range( 2, 6, )"),
             replaced(kV2, "'", "\""),
             replaced(kV2, "'", "`"),
             replaced(kV2, "'", ""),
             replaced(kV2, "'", "\\'"),
             replaced(replaced(kV2, "('", "(\xe2\x80\x98"), "',", "\xe2\x80\x99,"),
             replaced(kV2, " ", ""),
             replaced(kV2, ", ", " ,\n\t"),
             replaced(kV2, ", ", ",<br>"),
             replaced(kV2, ", ", ", \\\r\n  "),
             replaced(replaced(kV2, ")]", "),]"), "0)", "0,)"),
             replaced(kV2, "range(2, 6))", "range(2, 6),)"),
             "genotype = " + kV2,
             "11/20 12:00:00 AM genotype = " + kV2 + "\n",
             "DARTS_V2 = genotypes.Genotype (" + bare + ");",
             "'" + kV2 + "'",
             "\"" + kV2 + "\",",
             "Genotypes are good: " + kV2,
             bare,
             "  " + bare + ",\n",
             "(" + bare + ")",
             "{" + replaced(bare, "=", ": ") + "}",
             "{" +
                 replaced(replaced(replaced(bare, "normal=", "'normal': "), "reduce=", "'reduce': "),
                          "_concat=", "_concat : ") +
                 "}",
             positional,
             positional.substr(8),
             "Genotype(" + bare.substr(reduce) + ", " + bare.substr(0, reduce) + ")",
             squared,
         }) {
        CAPTURE(text);
        CHECK(parse_genotype(text) == v2);
    }
    // Genes grouped by node, and as JSON.
    const std::string grouped =
        "Genotype(normal=[[('sep_conv_3x3', 0), ('none', 1)], [('skip_connect', 2), ('sep_conv_7x7', 0)]], "
        "normal_concat=range(2, 4), reduce=[[['none', 0], ['conv_7x1_1x7', 1]]], reduce_concat=range(2, 3))";
    CHECK(to_string(parse_genotype(grouped)) ==
          "Genotype(normal=[('sep_conv_3x3', 0), ('none', 1), ('skip_connect', 2), ('sep_conv_7x7', 0)], "
          "normal_concat=range(2, 4), reduce=[('none', 0), ('conv_7x1_1x7', 1)], reduce_concat=[2])");
    CHECK(parse_genotype(R"({"normal": [["none", 0], ["none", 1]], "normal_concat": [2],
                             "reduce": [["none", 0], ["none", 1]], "reduce_concat": [2]})") == parse_genotype(kSmall));
}

TEST_CASE("canonical text: ranges where states count up, lists elsewhere") {
    Genotype g = parse_genotype(kV2);
    g.reduce_concat = {3, 4, 5};
    CHECK(contains(to_string(g), "reduce_concat=range(3, 6))"));
    for (const std::vector<int>& concat :
         {std::vector<int>{5}, {2, 3, 5}, {3, 2}, {5, 4, 3}, {2, 2}, {2, 3, 4, 5, 5}}) {
        g.reduce_concat = concat;
        std::string list;
        for (int state : concat) list += (list.empty() ? "" : ", ") + std::to_string(state);
        CHECK(contains(to_string(g), "reduce_concat=[" + list + "])"));
        CHECK(parse_genotype(to_string(g)) == g);
        CHECK_NOTHROW(validate(g));
    }
    g.normal_concat = {0, 1, 2};  // of a cell that keeps the size, the inputs may be part of the output
    CHECK(parse_genotype(to_string(g)) == g);
    for (const Genotype& bad :
         {Genotype{}, Genotype{g.normal, g.normal_concat, g.reduce, {}}, Genotype{g.normal, {6}, g.reduce, {2}},
          Genotype{g.normal, {-1}, g.reduce, {2}}, Genotype{{{Op::none, 0}}, {2}, g.reduce, {2}},
          Genotype{{{Op::none, 0}, {Op::none, 2}}, {2}, g.reduce, {2}},
          Genotype{{{Op::none, 0}, {static_cast<Op>(77), 1}}, {2}, g.reduce, {2}}}) {
        CHECK_THROWS_AS(validate(bad), Error);
    }
}

TEST_CASE("errors in genotypes name the place and what was expected") {
    expect_error("", {"column 1", "expected Genotype(normal=["});
    expect_error("Genotype(", {"column 10", "expected '[' and pairs", "ends there"});
    expect_error(replaced(kV2, "dil_conv_3x3", "dil_conv_3x4"),
                 {"line 1, column 166", "no operator is called 'dil_conv_3x4'", "nearest: dil_conv_3x3"});
    expect_error(replaced(kV2, "\n", "") + "\n x", {"line 2, column 2", "nothing after the genotype", "found 'x'"});
    expect_error("Genotype(\n normal=[('skip', 0)", {"line 2, column 11", "nearest: skip_connect"});
    expect_error(replaced(kV2, "('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"),
                 {"node 3 of normal", "reads states 0..4, not 5"});
    expect_error(replaced(kSmall, "reduce=[('none', 0)", "reduce=[('none', 2)"), {"node 0 of reduce", "0..1, not 2"});
    expect_error(replaced(kV2, ", ('dil_conv_3x3', 2)", ""), {"normal has 7 pairs", "2 for each node"});
    expect_error(replaced(kSmall, "normal=[('none', 0), ('none', 1)]", "normal=[]"), {"normal has 0 pairs"});
    expect_error(replaced(kSmall, "('none', 1)", "('none',)"), {"number of a state after none", "found ')'"});
    expect_error(replaced(kSmall, "('none', 1)", "('none')"), {"',' and a state after none"});
    expect_error(replaced(kSmall, "('none', 1)", "('none', 1, 2)"), {"')' after an operator and a state", "found '2'"});
    expect_error(replaced(kSmall, "('none', 1)", "('none', 1]"), {"')'", "found ']'"});
    expect_error(replaced(kSmall, "('none', 1)", "('none', -1)"), {"number of a state", "found '-'"});
    expect_error(replaced(kSmall, "('none', 1)", "('none', 1.0)"), {"')'", "found '.'"});
    expect_error(replaced(kSmall, "('none', 1)", "('none\", 1)"), {"expected ' after the name", "found '\"'"});
    expect_error(replaced(kSmall, "('none', 1)", "(1, 'none')"), {"no operator is called '1'"});
    expect_error(replaced(kSmall, "('none', 1)", "none"), {"a pair ('operator', state)", "found 'n'"});
    expect_error(replaced(kSmall, "), (", ") ("), {"expected ',' or ']'"});
    expect_error(replaced(kSmall, "[('none', 0), ('none', 1)]", "[[('none', 0)], [('none', 1)]]"),
                 {"1 pairs for node 0 of normal; expected 2"});
    expect_error(replaced(kSmall, "normal_concat=[2]", "normal_concat=[3]"), {"normal_concat", "0..2, not 3"});
    expect_error(replaced(kSmall, "reduce_concat=[2]", "reduce_concat=range(1, 3)"), {"reduce_concat", "2..2, not 1"});
    expect_error(replaced(kSmall, "normal_concat=[2]", "normal_concat=[]"), {"normal_concat names no state"});
    expect_error(replaced(kSmall, "normal_concat=[2]", "normal_concat=range(6, 2)"), {"names no state"});
    expect_error(replaced(kSmall, "normal_concat=[2]", "normal_concat=range(0, 999999999)"), {"at most 64 nodes"});
    expect_error(replaced(kSmall, "normal_concat=[2]", "normal_concat=range(2, 3, 1)"), {"')' after range(2, 3"});
    expect_error(replaced(kSmall, "normal_concat=[2]", "normal_concat=list(list([2]))"), {"'['"});
    expect_error(replaced(kSmall, "normal_concat", "normal_cat"), {"'normal_cat'", "nearest: normal_concat"});
    expect_error(replaced(kSmall, "reduce_concat", "reduce"), {"column 99", "'reduce' is there twice"});
    expect_error(replaced(kSmall, ", reduce_concat=[2]", ""), {"ends without 'reduce_concat'"});
    expect_error(kSmall.substr(0, kSmall.size() - 1), {"expected ',' or ')'", "ends there"});
    expect_error(replaced(kSmall, "normal=", "normal "), {"'=' after normal"});
    expect_error(replaced(kSmall, "[2])", "[2], [2])"), {"nothing after 4 fields"});
    expect_error("Genotype(recurrent=[('relu', 0)], concat=range(1, 2))", {"'recurrent'", "nearest:"});
    CHECK(error_of(ErrorKind::usage, [] { parse_genotype(std::string(100000, 'x')); }).size() < 1000);
    CHECK(contains(error_of(ErrorKind::usage, [] { parse_genotype(std::string("Genotype(\0", 10)); }), "0x00"));
    std::string deep, nested;
    for (int i = 0; i < 100000; ++i) deep += "[(", nested += "list(";
    CHECK(error_of(ErrorKind::usage, [&] { parse_genotype(deep); }) != "");
    CHECK(error_of(ErrorKind::usage, [&] { parse_genotype("normal_concat=" + nested); }) != "");
    std::string many = "normal=[('none',0),('none',1)";
    for (int i = 1; i < kMaxNodes; ++i) many += ",('none',0),('none',1)";
    const std::string rest = "],normal_concat=[65],reduce=[('none',0),('none',1)],reduce_concat=[2]";
    CHECK(parse_genotype(many + rest).normal.size() == 2 * kMaxNodes);
    expect_error(many + ",('none',0)" + rest, {"more than 64 nodes"});
    // All of them and both inputs can be put out.
    std::string all = "0";
    for (int state = 1; state < kInputs + kMaxNodes; ++state) all += "," + std::to_string(state);
    for (const std::string& concat : {"[" + all + "]", std::string("range(66)"), std::string("range(0, 66)")})
        CHECK(parse_genotype(many + replaced(rest, "[65]", concat)).normal_concat.size() == 66);
    expect_error(many + replaced(rest, "[65]", "[" + all + ",0]"), {"normal_concat has too many states"});
    expect_error(many + replaced(rest, "[65]", "range(67)"), {"state 67", "at most 64 nodes"});
}

TEST_CASE("mutilated genotypes are read or refused, never anything else") {
    const std::string letters = "()[]{},='\"\\ x2\xe2\0";
    int read = 0, refused = 0;
    for (std::size_t at = 0; at <= kV2.size(); ++at) {
        for (char c : letters) {
            std::string inserted = kV2, changed = kV2;
            inserted.insert(at, 1, c);
            if (at < kV2.size()) changed[at] = c;
            for (const std::string& text : {kV2.substr(0, at), kV2.substr(at), inserted, changed}) {
                try {
                    const Genotype g = parse_genotype(text);
                    CHECK(parse_genotype(to_string(g)) == g);
                    ++read;
                } catch (const Error& e) {
                    CHECK(e.kind() == ErrorKind::usage);
                    ++refused;
                }
            }
        }
    }
    CHECK(read > 300);
    CHECK(refused > 10000);
}

TEST_CASE("published cells") {
    std::set<std::pair<Family, std::string>> names;
    int convolutional = 0;
    for (const Published& p : published_cells()) {
        CAPTURE(std::string(p.name));
        CHECK(names.emplace(p.family, p.name).second);
        if (!p.also.empty()) CHECK(names.emplace(p.family, p.also).second);
        CHECK_FALSE(p.origin.empty());
        if (p.family == Family::convolutional) {
            ++convolutional;
            CHECK(to_string(parse_genotype(p.text)) == p.text);
            CHECK(published_genotype(p.name) == parse_genotype(p.text));
        } else if (p.family == Family::recurrent) {
            CHECK(to_string(parse_recurrent(p.text)) == p.text);
        } else {
            CHECK(nb201::to_string(nb201::parse_cell(p.text)) == p.text);
        }
    }
    CHECK(convolutional == 14);
    CHECK(published_cells().size() == 22);
    CHECK(to_string(published_genotype("DARTS_V2")) == kV2);
    CHECK(published_genotype("DARTS") == published_genotype("DARTS_V2"));
    CHECK(published_genotype("PCDARTS") == published_genotype("PC_DARTS_cifar"));
    CHECK(genotype_from(" 'DARTS_V2'\n") == parse_genotype(kV2));
    CHECK(genotype_from(kV2) == parse_genotype(kV2));
    CHECK(contains(error_of(ErrorKind::usage, [] { genotype_from("DARTS_V3"); }), "nearest: DARTS_V1"));
    CHECK(contains(error_of(ErrorKind::usage, [] { genotype_from("EvNAS-A"); }), "nearest: EvNASA"));
    CHECK(contains(error_of(ErrorKind::usage, [] { genotype_from(""); }), "expected Genotype("));
}

TEST_CASE("recurrent genotypes") {
    const std::string v1 =
        "Genotype(recurrent=[('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4), ('identity', 1), "
        "('relu', 5), ('relu', 1)], concat=range(1, 9))";
    const RecurrentGenotype g = parse_recurrent(v1);
    CHECK(g.recurrent[5] == RecurrentGene{4, 1});
    CHECK(to_string(g) == v1);
    CHECK(contains(error_of(ErrorKind::usage, [&] { parse_recurrent(replaced(v1, "'relu', 0", "'relu', 1")); }),
                   "0..0, not 1"));
    CHECK(contains(error_of(ErrorKind::usage, [&] { parse_recurrent(replaced(v1, "tanh", "tan")); }), "nearest: tanh"));
    CHECK(contains(error_of(ErrorKind::usage, [&] { parse_recurrent(replaced(v1, "9)", "10)")); }), "0..8, not 9"));
}
