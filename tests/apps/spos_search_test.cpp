// Searches on supernets as users meet them: whole runs, kills, other ways to the same result.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/apps/spos_runs.h"

using namespace nascent::test;
namespace fs = std::filesystem;

TEST_CASE("spos run trains, searches and leaves an architecture with all that is known of it") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    // Halfway between the extremes of the space at 32 pixels in ten classes.
    const Outcome o = spos(small_spos("run", run, {"--json", "--max-flops", "6500000"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(json::parse(read_text(run + "/arch.json")) == result);
    const std::string arch = result.at("arch").get<std::string>();
    json cost = json::parse(spos({"cost", arch, "--size", "32", "--classes", "10"}).out);
    for (const auto& [key, value] : cost.items()) CHECK(result.at(key) == value);
    CHECK(result.at("macs").at("mac").get<long>() <= 6'500'000);
    CHECK(result.at("limits") == "MACs (mac) at most 6500000");
    CHECK(result.at("scored") == 12);
    CHECK(result.at("generations") == 3);
    const json& score = result.at("score");
    CHECK(score.at("pictures") == 32);
    CHECK(score.at("of") == "32 of 64 validation pictures");
    CHECK(score.at("policy") == json{{"norms", "exact"},
                                     {"calibration", 32},
                                     {"calibration_batch", 16},
                                     {"calibration_views", "train"},
                                     {"evaluation", "fixed"},
                                     {"batch", 16}});
    // The top list is ordered by top-1, then top-5, and begins with the answer.
    const json& top = result.at("top");
    REQUIRE(top.size() == 12);
    CHECK(top[0].at("arch") == arch);
    for (std::size_t i = 0; i < top.size(); i++) {
        CHECK(top[i].at("norms") == "exact");
        CHECK(top[i].at("macs").at("mac").get<long>() <= 6'500'000);
        if (i == 0) continue;
        const auto key = [&](std::size_t k) {
            return std::pair(top[k].at("accuracy").get<double>(), top[k].at("accuracy5").get<double>());
        };
        CHECK(key(i) <= key(i - 1));
    }
    CHECK(lines_of(read_text(run + "/export/candidates.csv")).size() == 13);
    CHECK(read_text(run + "/export/arch.svg").starts_with("<svg"));
    // The same architecture in MMRazor's words.
    const json again = json::parse(spos({"cost", run + "/export/arch.yaml", "--size", "32", "--classes", "10"}).out);
    CHECK(again.at("arch") == arch);
    const std::string said = spos({"resume", run}).out;  // a finished run says what it found
    CHECK(said.find(arch) != std::string::npos);
    CHECK(said.find("batch norms exact") != std::string::npos);

    // Without sharing prefixes the same bits, in a run of its own on the same supernet.
    const std::string other = folder / "other";
    const Outcome unshared =
        spos({"search", "--run", run, "--out", other, "--no-prefix-sharing", "--threads", "2", "--json"});
    INFO(unshared.err);
    REQUIRE(unshared.code == 0);
    CHECK(json::parse(unshared.out) == result);
    CHECK(read_text(other + "/export/candidates.csv") == read_text(run + "/export/candidates.csv"));
    // And with a file alone.
    const std::string third = folder / "third";
    const Outcome file = spos(small_spos("search", third,
                                         {"--checkpoint", run + "/export/supernet.safetensors", "--max-flops",
                                          "6500000", "--synthetic-train", "48", "--json"}));
    INFO(file.err);
    REQUIRE(file.code == 0);
    CHECK(json::parse(file.out) == result);
    // Other policies of statistics give other scores.
    std::vector<json> scores{result.at("top")};
    for (const char* norms : {"ema", "batch", "none"}) {
        CAPTURE(norms);
        const Outcome with =
            spos({"search", "--run", run, "--out", folder / norms, "--norms", norms, "--generations", "1", "--json"});
        INFO(with.err);
        REQUIRE(with.code == 0);
        const json found = json::parse(with.out);
        CHECK(found.at("score").at("policy").at("norms") == norms);
        CHECK(found.at("scored") == 4);
        // Two batches of moving averages: 0.9^2 of where they start.
        CHECK((with.err.find("over 2 batches are to 81 %") != std::string::npos) == (std::string(norms) == "ema"));
        CHECK(std::find(scores.begin(), scores.end(), found.at("top")) == scores.end());
        scores.push_back(found.at("top"));
    }
    const Outcome slices = spos({"search", "--run", run, "--out", folder / "slices", "--evaluation", "slices",
                                 "--pictures", "20", "--search-batch", "10", "--json"});
    INFO(slices.err);
    REQUIRE(slices.code == 0);
    CHECK(json::parse(slices.out).at("score").at("pictures") == 20);
    CHECK(json::parse(slices.out).at("score").at("policy").at("evaluation") == "slices");
}

TEST_CASE("a run that is killed again and again finds what an undisturbed one finds, to the bit") {
    TemporaryFolder folder;
    const std::string whole = folder / "whole";
    double time = 0;
    time = seconds([&] { REQUIRE(spos(small_spos("run", whole)).code == 0); });
    for (bool kill : {true, false}) {
        const std::string run = folder / (kill ? "killed" : "stopped");
        const std::vector<Outcome> lives = disturb(
            time,
            [&] {
                return fs::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run}
                                                     : small_spos("run", run, {"--checkpoint-steps", "1"});
            },
            [&](int) { return kill ? SIGKILL : SIGTERM; }, folder.path(), NASCENT_SPOS);
        INFO(lives.back().err);
        REQUIRE(lives.back().code == 0);
        CHECK(lives.size() > 2);
        const Leavings a = leavings(run), b = leavings(whole);
        CHECK(a.arch == b.arch);
        CHECK(a.candidates == b.candidates);
        CHECK(a.events == b.events);
        CHECK(a.supernet == b.supernet);
        CHECK(a.checkpoint == b.checkpoint);
        CHECK(a == b);
    }
}

TEST_CASE("a run on the gpu trains and searches, and finds the same without captures") {
    TemporaryFolder folder;
    std::vector<std::string> arches;
    for (bool capture : {true, false}) {
        const std::string run = folder / (capture ? "captured" : "plain");
        std::vector<std::string> a = small_spos("run", run,
                                                {"--steps",
                                                 "1",
                                                 "--batch",
                                                 "2",
                                                 "--population",
                                                 "3",
                                                 "--mutation",
                                                 "1",
                                                 "--generations",
                                                 "2",
                                                 "--calibration",
                                                 "4",
                                                 "--calibration-batch",
                                                 "4",
                                                 "--pictures",
                                                 "4",
                                                 "--search-batch",
                                                 "4",
                                                 "--device",
                                                 "gpu",
                                                 "--json"});
        if (!capture) a.push_back("--no-search-capture");
        TemporaryFolder output;
        const Outcome o = finish(start(a, output.path(), {{"NASCENT_EMULATE", "1"}}, NASCENT_SPOS), output.path());
        if (o.code == 5 && o.err.find("no GPU can be used") != std::string::npos) {
            MESSAGE("[SKIPPED] ", o.err);
            return;
        }
        INFO(o.err);
        REQUIRE(o.code == 0);
        CHECK(o.err.find(" on gpu") != std::string::npos);
        arches.push_back(read_text(run + "/arch.json"));
    }
    CHECK(arches[0] == arches[1]);
}
