#include <doctest/doctest.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "engine/base/error.h"
#include "nas/algo/rlnas_config.h"
#include "nas/run/command_line.h"
#include "tests/temporary_folder.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::test;

namespace {

struct Sample {
    bool fast = false;
    int count = 3;
    std::int64_t seed = 7;
    double rate = 0.1;
    std::string mode = "slow", text = "a \"b\"\\";
    OptionTable table() {
        OptionTable t;
        t.add("mode", "--mode", mode, {"slow", "quick"}, "how");
        t.add("a.fast", "--fast", fast, "a switch");
        t.add("a.count", "--count", count, 1, 10, "how many");
        t.add("a.seed", "", seed, 0, "a seed");
        t.add("b.rate", "--rate", rate, 0, 1, "a rate");
        t.add("b.text", "--text", text, "any text");
        return t;
    }
};

/// The message of the Error of kind usage that `f` throws.
template <class F>
std::string refusal(F&& f) {
    return error_of(ErrorKind::usage, std::forward<F>(f));
}

/// One command line of an app with the sample's options and a subcommand; returns the help state of the parser.
bool parse(Sample& sample, std::vector<const char*> arguments) {
    OptionTable table = sample.table();
    CLI::App app("test");
    app.require_subcommand(0, 1);
    CLI::App* run = app.add_subcommand("run", "runs");
    app.add_subcommand("rank", "ranks");
    Overrides overrides;
    add_options(*run, table, overrides);
    arguments.insert(arguments.begin(), "test");
    if (!parse_command_line(app, static_cast<int>(arguments.size()), arguments.data())) return false;
    apply(table, overrides);
    return true;
}

}  // namespace

TEST_CASE("config: text of every type is read, ranges are kept") {
    Sample s;
    OptionTable t = s.table();
    t.assign("a.fast=true");
    t.assign("a.count=10");
    t.assign("a.seed=9223372036854775807");
    t.assign("b.rate=2.5e-3");
    t.assign("mode=quick");
    t.assign("b.text=x=y z");
    CHECK(s.fast);
    CHECK(s.count == 10);
    CHECK(s.seed == INT64_MAX);
    CHECK(s.rate == 2.5e-3);
    CHECK(s.mode == "quick");
    CHECK(s.text == "x=y z");
    t.assign("b.rate=1");
    CHECK(s.rate == 1);
    CHECK(refusal([&] { t.assign("a.count=11"); }) == "--set: a.count = 11, expected integer 1..10");
    CHECK(refusal([&] { t.assign("a.count=0"); }).find("expected integer 1..10") != std::string::npos);
    for (const char* bad : {"", " 3", "3 ", "3.0", "0x3", "3e0", "99999999999", "nan", "-1", "+3"}) {
        CHECK(refusal([&] { t.set("a.count", bad, "x"); }) != "accepted");
    }
    for (const char* bad : {"", "nan", "inf", "-inf", "1.1", "-0.1", "0.1x", "1e999"}) {
        CHECK(refusal([&] { t.set("b.rate", bad, "x"); }) != "accepted");
    }
    for (const char* bad : {"", "1", "yes", "True"}) CHECK(refusal([&] { t.set("a.fast", bad, "x"); }) != "accepted");
    CHECK(refusal([&] { t.assign("a.seed=-1"); }) == "--set: a.seed = -1, expected integer >= 0");
    CHECK(refusal([&] { t.assign("a.seed=9223372036854775808"); }) != "accepted");
    CHECK(refusal([&] { t.assign("mode=quik"); }) == "--set: mode = quik, expected slow|quick, did you mean quick?");
    CHECK(refusal([&] { t.assign("count"); }) == "--set count: expected key=value");
    CHECK(refusal([&] { t.assign("=3"); }) != "accepted");
    CHECK(s.count == 10);
}

TEST_CASE("config: unknown keys are answered with the nearest one") {
    Sample s;
    OptionTable t = s.table();
    CHECK(refusal([&] { t.assign("a.cuont=3"); }) == "--set: unknown key a.cuont, did you mean a.count?");
    CHECK(refusal([&] { t.assign("rat=3"); }) == "--set: unknown key rat, did you mean b.rate?");
}

TEST_CASE("config: TOML is strict and says where") {
    Sample s;
    OptionTable t = s.table();
    t.parse_toml("mode = 'quick' # comment\n[a]\nfast = true\ncount = 5\n[b]\nrate = 1\ntext = \"\\u00e9\"\n",
                 "c.toml");
    CHECK(s.mode == "quick");
    CHECK(s.fast);
    CHECK(s.count == 5);
    CHECK(s.rate == 1.0);
    CHECK(s.text == "\xc3\xa9");
    t.parse_toml("a.count = 6", "c.toml");
    CHECK(s.count == 6);
    const auto says = [&](const char* text) { return refusal([&] { t.parse_toml(text, "c.toml"); }); };
    CHECK(says("[a]\n  cont = 3\n") == "c.toml:2:3: unknown key a.cont, did you mean a.count?");
    CHECK(says("[a]\ncount = 3.0\n") == "c.toml:2:1: a.count is a real number, expected integer 1..10");
    CHECK(says("[a]\ncount = \"3\"\n") == "c.toml:2:1: a.count is a text in quotes, expected integer 1..10");
    CHECK(says("[a]\nfast = 1\n") == "c.toml:2:1: a.fast is an integer, expected true|false");
    CHECK(says("mode = [1]\n") == "c.toml:1:1: mode is a list, expected slow|quick");
    CHECK(says("[mode]\n") == "c.toml:1:2: unknown section [mode], did you mean [a]?");
    CHECK(says("[b]\nrate = 2024-01-01\n") == "c.toml:2:1: b.rate is a date or time, expected number 0..1");
    CHECK(says("[b]\nrate = nan\n").find("b.rate = nan, expected number 0..1") != std::string::npos);
    CHECK(says("[a]\ncount = 300\n") == "c.toml:2:1: a.count = 300, expected integer 1..10");
    CHECK(says("[c]\nx = 1\n").find("c.toml:1:2: unknown section [c], did you mean [") == 0);
    CHECK(says("[a.b]\nx = 1\n").find("unknown key a.b.x") != std::string::npos);
    CHECK(says("a = 3\n").find("c.toml:1:1: unknown key a") == 0);
    CHECK(says("[a]\ncount = \n").find("c.toml:2:") == 0);
    CHECK(says("[a]\ncount = 3\ncount = 4\n").find("c.toml:3:") == 0);
    CHECK(says("x = [[[[").find("c.toml:1:") == 0);
    CHECK(refusal([&] { t.read_toml("/nonexistent/c.toml"); }).find("/nonexistent/c.toml: cannot open") == 0);
}

TEST_CASE("config: the file it writes reads back to the same values") {
    Sample s;
    OptionTable t = s.table();
    s.rate = 1.0 / 3, s.fast = true, s.text = "line\nbreak \"q\" \x01 \xe2\x82\xac", s.seed = 1LL << 62,
    s.mode = "quick";
    const std::string toml = t.to_toml();
    Sample back;
    OptionTable other = back.table();
    other.parse_toml(toml, "run.toml");
    CHECK(back.rate == s.rate);
    CHECK(back.fast);
    CHECK(back.text == s.text);
    CHECK(back.seed == s.seed);
    CHECK(back.mode == s.mode);
    CHECK(other.to_toml() == toml);
    s.rate = 0;  // a real that looks like an integer
    CHECK(t.to_toml().find("rate = 0.0\n") != std::string::npos);
}

TEST_CASE("config: flags, --set and --config, in this order of strength") {
    test::TemporaryFolder folder;
    test::write_text(folder / "c.toml", "[a]\ncount = 2\nseed = 2\n[b]\nrate = 0.2\n");
    const std::string file = folder / "c.toml";
    Sample s;
    CHECK(parse(
        s, {"run", "--count", "4", "--config", file.c_str(), "--set", "a.count=3", "--set", "b.rate=0.3", "--fast"}));
    CHECK(s.count == 4);
    CHECK(s.rate == 0.3);
    CHECK(s.seed == 2);
    CHECK(s.fast);
    CHECK(parse(s, {"run", "--no-fast", "--count=5", "--text", "x"}));
    CHECK(!s.fast);
    CHECK(s.count == 5);
    CHECK(refusal([&] { parse(s, {"run", "--count", "11"}); }) == "--count: a.count = 11, expected integer 1..10");
}

TEST_CASE("config: what the command line does not know is answered with the nearest name") {
    Sample s;
    CHECK(refusal([&] { parse(s, {"run", "--cuont", "4"}); }) == "unknown option --cuont, did you mean --count?");
    CHECK(refusal([&] { parse(s, {"run", "--conut=4"}); }) == "unknown option --conut, did you mean --count?");
    CHECK(refusal([&] { parse(s, {"rnu"}); }) == "unknown command rnu, did you mean run?");
    CHECK(refusal([&] { parse(s, {"run", "stray"}); }) == "unexpected argument stray");
    CHECK(refusal([&] { parse(s, {"run", "--count"}); }).find("--count") != std::string::npos);
    parse(s, {"run", "--count", "1", "--count", "2"});
    CHECK(s.count == 2);  // the last one counts: scripts append to what others set
}

TEST_CASE("config: RLNAS: run.toml has every key and reads back") {
    RlnasConfig config;
    OptionTable table = rlnas_options(config);
    const std::string defaults = table.to_toml();
    for (const Option& o : table.options()) CHECK(table.help().find(o.key) != std::string::npos);
    // Every option moves some field: a key bound to another's field would move the wrong line.
    for (const Option& o : table.options()) {
        RlnasConfig changed;
        OptionTable t = rlnas_options(changed);
        std::string value;
        if (o.is_boolean()) {
            value = o.standard == "true" ? "false" : "true";
        } else if (std::holds_alternative<std::string*>(o.field)) {
            value = o.allowed.empty()                                                 ? "some text"
                    : o.allowed.back() == o.standard.substr(1, o.standard.size() - 2) ? o.allowed.front()
                                                                                      : o.allowed.back();
        } else if (std::holds_alternative<double*>(o.field)) {
            value = "0.625";
        } else {
            value = "77";
        }
        t.set(o.key, value, "test");
        const std::string toml = t.to_toml();
        RlnasConfig read;
        OptionTable again = rlnas_options(read);
        again.parse_toml(toml, "run.toml");
        CHECK(again.to_toml() == toml);
        int differ = 0;
        for (const Option& other : t.options()) differ += other.value() != other.standard ? 1 : 0;
        CHECK_MESSAGE(differ == 1, o.key);
        CHECK(t.find(o.key)->value() != o.standard);
    }
    CHECK(defaults.find("epochs = 250\n") != std::string::npos);
}

TEST_CASE("config: RLNAS: defaults are the paper's, what contradicts itself is refused") {
    RlnasConfig c;
    CHECK(c.train.lr == 0.025);
    CHECK(c.train.weight_decay == 5e-4);
    CHECK(c.train.inactive == "coast");
    CHECK(c.data.labels == "fixed-random");
    CHECK(refusal([&] { resolve(c, true); }).find("--data") != std::string::npos);
    resolve(c, false);
    c = {};
    c.data.source = "synthetic";
    c.run.seed = 5;
    resolve(c, true);
    CHECK(c.data.label_seed == 5);
    c.data.label_seed = 0;
    resolve(c, true);
    CHECK(c.data.label_seed == 0);
    RlnasConfig bad = c;
    bad.train.lr_min = 1;
    CHECK(refusal([&] { resolve(bad, true); }) == "train.lr_min = 1 is above train.lr = 0.025");
    bad = c;
    bad.search.select = 101;
    CHECK(refusal([&] { resolve(bad, true); }) != "accepted");
    bad = c;
    bad.search.mutation = 51;
    CHECK(refusal([&] { resolve(bad, true); }) != "accepted");
    bad = c;
    bad.train.momentum = 0;
    CHECK(refusal([&] { resolve(bad, true); }) != "accepted");
}
