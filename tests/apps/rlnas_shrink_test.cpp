// Search spaces that rlnas shrinks: of a run that is over, and between the stages of one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "nas/space/darts_code.h"
#include "tests/apps/program.h"

using namespace nascent::test;
using nascent::darts::parse_code;
namespace fs = std::filesystem;

TEST_CASE("rlnas shrink says what it dropped and where that truly stands") {
    TemporaryFolder folder;
    const std::string run = folder / "run", table = folder / "table.csv";
    REQUIRE(rlnas(small_run(run)).code == 0);
    write_table(table);
    const Outcome o = rlnas({"shrink", "--run", run, "--table", table, "--json"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(result["dropped"].size() == 20);
    std::set<int> ranks;
    double last = -1;
    for (const json& d : result["dropped"]) {
        ranks.insert(d["true_rank"].get<int>());
        CHECK(d["score"].get<double>() >= last);
        last = d["score"];
    }
    CHECK(ranks.size() == 20);
    CHECK(*ranks.begin() >= 1);
    CHECK(*ranks.rbegin() <= 30);
    const json space = json::parse(read_text(run + "/export/shrunk_space.json"));
    CHECK(space["size"] == result["size"]);
    std::size_t operators = 0;
    for (const json& layer : space["layers"]) operators += layer.size();
    CHECK(operators == 10);
    // The same of the files, without a table.
    const Outcome files = rlnas(
        {"shrink", "--init", run + "/export/init.safetensors", "--final", run + "/export/final.safetensors", "--json"});
    INFO(files.err);
    REQUIRE(files.code == 0);
    CHECK(json::parse(files.out)["dropped"].size() == 20);
    // By accuracy on held-out pictures, and by alphas.
    const Outcome by_accuracy = rlnas({"shrink", "--run", run, "--by", "accuracy", "--score-batch", "8", "--table",
                                       table, "--to", folder / "by_accuracy.json", "--json"});
    INFO(by_accuracy.err);
    REQUIRE(by_accuracy.code == 0);
    const json accuracies = json::parse(by_accuracy.out);
    CHECK(accuracies["by"] == "accuracy");
    CHECK(accuracies["dropped"].size() == 20);
    double before = 0;
    for (const json& d : accuracies["dropped"]) {
        CHECK(d["score"].get<double>() >= before);
        CHECK(d["score"].get<double>() <= 100);
        CHECK(d["of"] == 30);
        before = d["score"];
    }
    CHECK(before > 0);
    std::string alphas = R"({"space":"nasbench201","arch_parameters":[)";
    for (int e = 0; e < 6; e++)
        alphas += std::string(e ? "," : "") + "[5,4,3,2,1]";  // the last operators are the lowest
    write_text(folder / "alphas.json", alphas + "]}");
    const Outcome by_magnitude = rlnas({"shrink", "--by", "magnitude", "--alphas", folder / "alphas.json", "--to",
                                        folder / "by_magnitude.json", "--json"});
    INFO(by_magnitude.err);
    REQUIRE(by_magnitude.code == 0);
    const json layers = json::parse(read_text(folder / "by_magnitude.json"))["layers"];
    // 20 of 30: three of each edge, and of two edges a fourth.
    CHECK(layers[5] == json({0, 1}));
    CHECK(layers[0] == json({0}));
    CHECK(rlnas({"shrink", "--by", "magnitude"}).code == 2);
    CHECK(rlnas({"shrink", "--run", run, "--alphas", folder / "alphas.json"}).code == 2);
    // What is left is what is trained and searched.
    const Outcome smaller = rlnas(small_run(
        folder / "smaller", {"--shrunk", folder / "by_accuracy.json", "--method", "both", "--table", table, "--json"}));
    INFO(smaller.err);
    REQUIRE(smaller.code == 0);
    const json lists = json::parse(read_text(folder / "by_accuracy.json"))["layers"];
    const json searches = json::parse(smaller.out).at("searches");
    CHECK(searches.size() == 2);
    for (const json& found : searches) {
        std::string tuple = found.at("tuple").get<std::string>();  // (0,1,...)
        REQUIRE(tuple.size() > 2);
        tuple.front() = '[', tuple.back() = ']';
        const auto ops = json::parse(tuple).get<std::vector<int>>();
        REQUIRE(ops.size() == 6);
        for (std::size_t e = 0; e < 6; e++) {
            const auto left = lists[e].get<std::vector<int>>();
            CHECK(std::find(left.begin(), left.end(), ops[e]) != left.end());
        }
    }
    double cells = 1;
    for (const json& layer : lists) cells *= static_cast<double>(layer.size());
    const std::string csv = read_text(folder / "smaller/export/angles.csv");
    CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + static_cast<long>(cells));
    CHECK(json::parse(smaller.out)["table"]["used"] == static_cast<long>(cells));
    CHECK(rlnas({"angles", "--run", run}).out.find("pools off") != std::string::npos);
    CHECK(rlnas({"shrink"}).code == 2);
    REQUIRE(rlnas({"run", "--preset", "smoke/darts", "--generations", "6", "--out", folder / "darts"}).code == 0);
    CHECK(rlnas({"shrink", "--run", folder / "darts"}).code == 2);
}

TEST_CASE("a DARTS supernet grows, shrinks its space and is killed without a trace") {
    TemporaryFolder folder;
    const auto shrink = [&](const std::string& name, std::vector<std::string> more = {}) {
        std::vector<std::string> a{"shrink", "--preset", "smoke/anglenas-darts", "--checkpoint-steps",
                                   "1",      "--out",    folder / name};
        a.insert(a.end(), more.begin(), more.end());
        return a;
    };
    Outcome o;
    const double time = seconds([&] { o = rlnas(shrink("whole", {"--json"})); });
    INFO(o.err);
    REQUIRE(o.code == 0);
    const std::string whole = folder / "whole";
    const json result = json::parse(o.out);
    // One operator of each of 14 edges goes in each of six stages: two are left, 2^14 cells are few enough.
    CHECK(result["size"] == 16384);
    CHECK(result["dropped"].size() == 84);
    CHECK(result["left"].size() == 14);
    for (const auto& [edge, operators] : result["left"].items()) CHECK(operators.size() == 2);
    const std::string journal = read_text(whole + "/events.jsonl");
    CHECK(journal.find("\"cells\":4") != std::string::npos);
    CHECK(journal.find("\"cells\":5") != std::string::npos);
    for (const char* file : {"init", "base", "final"})
        CHECK(std::filesystem::exists(whole + "/export/" + file + ".safetensors"));
    int kills = 0;
    for (const Outcome& killed : disturb(
             time,
             [&] {
                 return std::filesystem::exists(folder / "killed/run.toml")
                            ? std::vector<std::string>{"resume", folder / "killed"}
                            : shrink("killed");
             },
             [](int) { return SIGKILL; }, folder.path())) {
        INFO(killed.err);
        REQUIRE((killed.code == 0 || killed.code == -SIGKILL));
        kills += killed.code != 0;
    }
    CHECK(kills >= 2);
    for (const char* file : {"final.safetensors", "base.safetensors", "shrunk_space.json"})
        CHECK(read_text(folder / "killed/export/" + file) == read_text(whole + "/export/" + file));
    CHECK(remains(folder / "killed") == remains(whole));

    // Training and both searches know nothing but what is left.
    const std::string space = whole + "/export/shrunk_space.json";
    const json lists = json::parse(read_text(space))["layers"];
    for (const char* draws : {"numpy", "counters"}) {
        const std::string run = folder / draws;
        const Outcome searched = rlnas({"run", "--preset", "smoke/darts-imagenet", "--shrunk", space, "--draws", draws,
                                        "--generations", "3", "--out", run, "--json"});
        INFO(searched.err);
        REQUIRE(searched.code == 0);
        const json found = json::parse(searched.out)["search"];
        for (const char* way : {"exact", "evolution"}) {
            const auto code = parse_code(found[way]["code"].get<std::string>());
            for (std::size_t e = 0; e < 14; e++)
                for (bool reduction : {false, true}) {
                    const int op = code.cell(reduction)[e];
                    const auto left = lists[e].get<std::vector<int>>();
                    // Repair sets `none` where a node has more than two inputs, as published.
                    CHECK((op == 0 || std::find(left.begin(), left.end(), op) != left.end()));
                }
        }
        CHECK(read_text(run + "/export/given_space.json") == read_text(space));
    }
    CHECK(rlnas({"run", "--preset", "smoke/nothing", "--shrunk", space}).code == 2);
    CHECK(rlnas(small_run(folder / "other", {"--shrunk", space})).code == 3);  // of another space
    CHECK(rlnas({"shrink", "--preset", "smoke/anglenas-darts", "--layers", "4", "--out", folder / "few"}).code == 2);
}
