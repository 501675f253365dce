// rlnas on the DARTS space, from pictures to a genotype.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "nas/space/darts_code.h"
#include "tests/apps/picture_folders.h"
#include "tests/apps/program.h"

using namespace nascent::test;
using nascent::darts::parse_code;

namespace {

std::vector<std::string> smoke(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> a{"run", "--preset", "smoke/darts", "--generations", "6", "--out", out};
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

}  // namespace

TEST_CASE("rlnas trains and searches the DARTS space") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o = rlnas(smoke(run, {"--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(json::parse(read_text(run + "/arch.json")) == result);
    CHECK(result["space"] == "darts");
    CHECK(result["rules"] == "rlnas-cifar10");
    CHECK(result["layers"] == 3);
    const json& search = result["search"];
    CHECK(search["exact"]["proved"] == true);
    CHECK(search["evolution"]["generations"] == 6);
    CHECK(search["distance"].get<double>() >= 0);
    CHECK(search["exact"]["angle"].get<double>() > 1e-4);  // the weights turned
    const std::string code = search["winner"]["code"];
    CHECK(nascent::darts::to_string(parse_code(result["genotype"].get<std::string>())) == code);
    CHECK(result["switches"].size() == 12);
    for (const char* file : {"normal.svg", "reduction.dot", "switches.txt", "init.safetensors", "final.safetensors"})
        CHECK_MESSAGE(std::filesystem::exists(run + "/export/" + file), file);

    // The two files alone lead to the same architecture; other rules to other angles.
    const std::vector<std::string> files{"search",
                                         "--init",
                                         run + "/export/init.safetensors",
                                         "--final",
                                         run + "/export/final.safetensors",
                                         "--preset",
                                         "smoke/darts",
                                         "--method",
                                         "exact",
                                         "--json"};
    const Outcome again = rlnas(files);
    INFO(again.err);
    REQUIRE(again.code == 0);
    CHECK(json::parse(again.out)["search"]["winner"]["code"] == code);
    std::vector<std::string> other = files;
    other.insert(other.end(), {"--angle-rules", "anglenas"});
    const json abs = json::parse(rlnas(other).out);
    CHECK(abs["rules"] == "anglenas");
    CHECK(abs["search"]["winner"]["angle"] != search["winner"]["angle"]);
    // A limit holds for both.
    const auto cheapest = search["winner"]["macs"]["thop"].get<std::int64_t>();
    const json limited =
        json::parse(rlnas({"search", "--run", run, "--max-flops", std::to_string(cheapest - 1), "--json"}).out);
    for (const char* way : {"exact", "evolution"}) CHECK(limited["search"][way]["cost"].get<std::int64_t>() < cheapest);
    CHECK(limited["search"]["exact"]["angle"].get<double>() < search["exact"]["angle"].get<double>());
}

TEST_CASE("rlnas on DARTS without affine batch norms") {
    TemporaryFolder folder;
    const Outcome o = rlnas(smoke(folder / "run", {"--no-affine", "--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(result["search"]["exact"]["proved"] == true);
    CHECK(result["search"]["exact"]["angle"].get<double>() > 1e-4);
}

TEST_CASE("a DARTS run that is killed at any moment goes on to the same bits") {
    TemporaryFolder folder;
    const std::vector<std::string> longer{"--epochs", "40", "--checkpoint-steps", "7"};
    const double whole = seconds([&] { REQUIRE(rlnas(smoke(folder / "whole", longer)).code == 0); });
    const std::string run = folder / "killed";
    int kills = 0;
    for (const Outcome& o : disturb(
             whole,
             [&] {
                 return std::filesystem::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run}
                                                                   : smoke(run, longer);
             },
             [](int) { return SIGKILL; }, folder.path())) {
        INFO(o.err);
        REQUIRE((o.code == 0 || o.code == -SIGKILL));
        kills += o.code != 0;
    }
    CHECK(kills >= 2);
    CHECK(remains(run) == remains(folder / "whole"));
}

TEST_CASE("rlnas reads pictures of any size as it needs them, in both spaces") {
    TemporaryFolder folder;
    write_folders(folder / "data");
    const std::string data = "folder:" + (folder / "data");
    struct Row {
        const char* space;
        std::vector<std::string> net;
    };
    for (const Row& row : {Row{"darts", {"--channels", "4", "--layers", "3", "--no-affine"}},
                           Row{"nasbench201", {"--channels", "4", "--cells", "1"}}}) {
        CAPTURE(row.space);
        const auto run = [&](const std::string& name, std::vector<std::string> more) {
            std::vector<std::string> a{"train",
                                       "--space",
                                       row.space,
                                       "--data",
                                       data,
                                       "--pipeline",
                                       "rlnas",
                                       "--size",
                                       "16",
                                       "--batch",
                                       "5",
                                       "--epochs",
                                       "4",
                                       "--split",
                                       "all",
                                       "--seed",
                                       "1",
                                       "--out",
                                       folder / (std::string(row.space) + name)};
            a.insert(a.end(), row.net.begin(), row.net.end());
            a.insert(a.end(), more.begin(), more.end());
            return a;
        };
        const std::vector<std::string> setting{"--checkpoint-steps", "1"};
        const auto weights = [&](const std::string& name) {
            return read_text(folder / (std::string(row.space) + name) + "/export/final.safetensors");
        };
        Outcome whole;
        const double time = seconds([&] { whole = rlnas(run("whole", setting)); });
        INFO(whole.err);
        REQUIRE(whole.code == 0);
        CHECK(whole.err.find("24 of 24 training pictures 16x16, 3 classes, normalised as 0..1, pipeline rlnas") !=
              std::string::npos);
        CHECK(
            read_text(folder / (std::string(row.space) + std::string("whole")) + "/log.txt").find("waiting for data") !=
            std::string::npos);
        REQUIRE(rlnas(run("threads", {"--loader-workers", "3"})).code == 0);
        CHECK(weights("threads") == weights("whole"));
        for (const char* labels : {"true", "per-access-random"}) {
            REQUIRE(rlnas(run(labels, {"--labels", labels})).code == 0);
            CHECK(weights(labels) != weights("whole"));
        }
        const std::string killed = folder / (std::string(row.space) + std::string("killed"));
        int kills = 0;
        for (const Outcome& o : disturb(
                 time,
                 [&] {
                     return fs::exists(killed + "/run.toml") ? std::vector<std::string>{"resume", killed}
                                                             : run("killed", setting);
                 },
                 [](int) { return SIGKILL; }, folder.path())) {
            INFO(o.err);
            REQUIRE((o.code == 0 || o.code == -SIGKILL));
            kills += o.code != 0;
        }
        CHECK(kills >= 2);
        CHECK(weights("killed") == weights("whole"));
        CHECK(rlnas(run("wrong", {"--norm", "cifar10"})).code == 2);
        write_text(picture(folder / "data", "train", 1, 3), "rubbish");
        CHECK(rlnas(run("corrupt", {})).code == 3);
        const Outcome skipped = rlnas(run("skipped", {"--skip-corrupt"}));
        CHECK(skipped.code == 0);
        CHECK(skipped.err.find("1 corrupt pictures, whose places others take: train/b/3") != std::string::npos);
        write_folders(folder / "data");
    }
}

TEST_CASE("settings of one space are refused in the other") {
    TemporaryFolder folder;
    CHECK(rlnas(smoke(folder / "a", {"--method", "exhaustive"})).code == 2);
    CHECK(rlnas(smoke(folder / "b", {"--table", "x.csv"})).code == 2);
    CHECK(rlnas(small_run(folder / "c", {"--method", "exact"})).code == 2);
    CHECK(rlnas(small_run(folder / "d", {"--max-flops", "1000"})).code == 2);
    CHECK(rlnas(smoke(folder / "e", {"--preset", "rlnas/dart"})).code == 2);
    CHECK(rlnas({"rank", "--run", folder / "nothing"}).code == 2);
}

TEST_CASE("rlnas on the DARTS space with ImageNet's stem") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o = rlnas({"run", "--preset", "smoke/darts-imagenet", "--generations", "4", "--out", run, "--json"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(result["rules"] == "rlnas-imagenet");
    CHECK(result["layers"] == 5);
    CHECK(result["search"]["exact"]["proved"] == true);
    CHECK(result["search"]["distance"].get<double>() >= 0);
    // The rate falls on a line, by steps: epochs begin at steps 0 and 4 of 8.
    std::vector<double> rates;
    std::istringstream journal(read_text(run + "/events.jsonl"));
    for (std::string line; std::getline(journal, line);)
        if (const json record = json::parse(line); record["kind"] == "epoch") rates.push_back(record["lr"]);
    REQUIRE(rates.size() == 2);
    CHECK(rates[0] == 0.1);
    CHECK(rates[1] == doctest::Approx(0.05025).epsilon(1e-14));
    // Angles of the same files, and what switches make of them.
    const Outcome listed = rlnas({"angles", "--run", run, "--count", "30", "--json"});
    INFO(listed.err);
    REQUIRE(listed.code == 0);
    const json angles = json::parse(listed.out);
    CHECK(angles["angles"].size() == 30);
    CHECK(angles["switches"].size() == 12);
    CHECK(angles["switches"]["rlnas-imagenet"]["tau_b"]["rlnas-imagenet"] == 1);
    const json anglenas = json::parse(rlnas({"angles", "--run", run, "--angle-rules", "anglenas", "--json"}).out);
    CHECK(anglenas["angles"].size() == 200);
    for (const json& row : anglenas["angles"]) {  // one cell for both
        const auto code = parse_code(row["code"].get<std::string>());
        CHECK(code.normal == code.reduce);
    }
    CHECK(rlnas({"angles", "--run", run}).out.find("tau-b of the angles above") != std::string::npos);
}

TEST_CASE("seeds that NumPy's draws would run out of are refused at the start") {
    TemporaryFolder folder;
    // 8 steps of 28 seeds each.
    const std::int64_t largest = 0xffffffff;
    for (auto [seed, code] : {std::pair{largest - 8 * 28 + 1, 0}, {largest - 8 * 28 + 2, 2}, {largest, 2}}) {
        CAPTURE(seed);
        const std::string run = folder / std::to_string(seed);
        const Outcome o = rlnas(smoke(run, {"--seed", std::to_string(seed), "--method", "exact"}));
        INFO(o.err);
        CHECK(o.code == code);
        CHECK(std::filesystem::exists(run + "/run.toml") == (code == 0));
    }
    CHECK(rlnas(smoke(folder / "counters",
                      {"--seed", std::to_string(largest), "--draws", "counters", "--method", "exact"}))
              .code == 0);
}
