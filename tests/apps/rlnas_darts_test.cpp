// rlnas on the DARTS space, from pictures to a genotype.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

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
    std::size_t left = 0;
    for (const json& layer : space["layers"]) left += layer.size();
    CHECK(left == 10);
    // The same of the files, without a table.
    const Outcome files = rlnas(
        {"shrink", "--init", run + "/export/init.safetensors", "--final", run + "/export/final.safetensors", "--json"});
    INFO(files.err);
    REQUIRE(files.code == 0);
    CHECK(json::parse(files.out)["dropped"].size() == 20);
    CHECK(rlnas({"shrink"}).code == 2);
    REQUIRE(rlnas(smoke(folder / "darts")).code == 0);
    CHECK(rlnas({"shrink", "--run", folder / "darts"}).code == 2);
}
