// rlnas on the MobileNet spaces: from pictures to a chain, and AngleNAS's shrinking between stages of a training.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "nas/space/chain.h"
#include "tests/apps/picture_folders.h"
#include "tests/apps/program.h"

using namespace nascent::test;

namespace {

/// The smaller of the two spaces, pictures of 32: seconds.
std::vector<std::string> smoke(const std::string& command, const std::string& preset, const std::string& out,
                               std::vector<std::string> more = {}) {
    std::vector<std::string> a{command,
                               "--preset",
                               preset,
                               "--space",
                               "mobilenet-fairnas",
                               "--size",
                               "32",
                               "--batch",
                               "16",
                               "--synthetic-train",
                               "64",
                               "--out",
                               out,
                               "--generations",
                               "3",
                               "--stop-at",
                               "1"};
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

/// Whether both are there and the same; states of supernets are long.
bool same_file(const std::string& a, const std::string& b) {
    std::ifstream one(a, std::ios::binary), other(b, std::ios::binary);
    if (!one || !other) return false;
    std::vector<char> x(1 << 20), y(1 << 20);
    do {
        one.read(x.data(), static_cast<std::streamsize>(x.size()));
        other.read(y.data(), static_cast<std::streamsize>(y.size()));
        if (one.gcount() != other.gcount() || !std::equal(x.begin(), x.begin() + one.gcount(), y.begin())) return false;
    } while (one.gcount() > 0);
    return true;
}

void check_same_run(const std::string& a, const std::string& b, const std::vector<std::string>& files) {
    for (const std::string& file : files) {
        CAPTURE(file);
        CHECK(same_file(a + "/" + file, b + "/" + file));
    }
    CHECK(events_of(a) == events_of(b));
    CHECK(same_file(newest_checkpoint(a) + "/state.safetensors", newest_checkpoint(b) + "/state.safetensors"));
}

std::vector<int> ops_of(const std::string& arch) {
    return nascent::chain::parse_architecture(nascent::chain::space("mobilenet-fairnas"), arch).ops;
}

/// Kills a run at random until it is done; `first` begins it.
int kill_until_done(const std::vector<std::string>& first, const std::string& run, double whole,
                    const TemporaryFolder& folder) {
    int kills = 0;
    for (const Outcome& o : disturb(
             whole,
             [&] {
                 return std::filesystem::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run} : first;
             },
             [](int) { return SIGKILL; }, folder.path())) {
        INFO(o.err);
        REQUIRE((o.code == 0 || o.code == -SIGKILL));
        kills += o.code != 0;
    }
    return kills;
}

}  // namespace

TEST_CASE("rlnas trains and searches MobileNets") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o = rlnas(smoke("run", "smoke/mobilenet", run, {"--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(json::parse(read_text(run + "/arch.json")) == result);
    CHECK(result["space"] == "mobilenet-fairnas");
    CHECK(result["rules"] == "rlnas");
    CHECK(result["trained_size"] == 32);
    CHECK(result["flops_size"] == 224);
    const json& search = result["search"];
    CHECK(search["exact"]["proved"] == true);
    CHECK(search["exact"]["cost"].get<std::int64_t>() <= 475'000'000);
    CHECK(search["evolution"]["cost"].get<std::int64_t>() <= 475'000'000);
    CHECK(search["exact"]["cost"] == search["exact"]["macs"]["thop"]);
    CHECK(search["exact"]["angle"].get<double>() > 1e-4);  // the weights turned
    CHECK(search["distance"].get<double>() >= 0);
    CHECK(search["evolution"]["generations"] == 3);
    CHECK(search["winner"]["arch"] == result["arch"]);
    CHECK(ops_of(result["arch"]).size() == 19);
    for (const char* convention : {"mac", "thop", "mmrazor"}) CHECK(search["winner"]["macs"].contains(convention));
    CHECK(result["switches"].size() == 7);  // the setting, its five switches, the other one
    for (const char* file : {"architecture.svg", "switches.txt", "init.safetensors", "final.safetensors"})
        CHECK_MESSAGE(std::filesystem::exists(run + "/export/" + file), file);

    // A lower limit holds for both ways, and the two files alone lead to the same chain.
    const auto cost = search["exact"]["cost"].get<std::int64_t>();
    const json limited =
        json::parse(rlnas({"search", "--run", run, "--max-flops", std::to_string(cost - 1), "--json"}).out);
    for (const char* way : {"exact", "evolution"}) CHECK(limited["search"][way]["cost"].get<std::int64_t>() < cost);
    CHECK(limited["search"]["exact"]["angle"].get<double>() <= search["exact"]["angle"].get<double>());
    const Outcome files =
        rlnas({"search", "--init", run + "/export/init.safetensors", "--final", run + "/export/final.safetensors",
               "--preset", "smoke/mobilenet", "--space", "mobilenet-fairnas", "--method", "exact", "--json"});
    INFO(files.err);
    REQUIRE(files.code == 0);
    CHECK(json::parse(files.out)["arch"] == result["arch"]);
    // Angles of random chains by each setting; none is above the largest.
    double before = 0;
    for (const char* rules : {"rlnas", "anglenas"}) {
        const json listed =
            json::parse(rlnas({"angles", "--run", run, "--count", "20", "--angle-rules", rules, "--json"}).out);
        CHECK(listed["rules"] == rules);
        CHECK(listed["switches"].size() == 7);
        REQUIRE(listed["angles"].size() == 20);
        const double first = listed["angles"][0]["angle"];
        CHECK(first != before);
        before = first;
    }
    CHECK(rlnas({"angles", "--run", run, "--angle-rules", "rlnas-cifar10"}).code == 2);
}

TEST_CASE("a MobileNet run that is killed at any moment goes on to the same bits") {
    TemporaryFolder folder;
    const std::vector<std::string> longer{"--epochs", "4", "--checkpoint-steps", "5"};
    const std::string whole = folder / "whole", run = folder / "killed";
    const double took = seconds([&] { REQUIRE(rlnas(smoke("run", "smoke/mobilenet", whole, longer)).code == 0); });
    CHECK(kill_until_done(smoke("run", "smoke/mobilenet", run, longer), run, took, folder) >= 2);
    check_same_run(whole, run,
                   {"export/init.safetensors", "export/final.safetensors", "arch.json", "ckpt/search.json"});
}

TEST_CASE("rlnas shrinks the MobileNet space in stages, killed or not, and searches what is left") {
    TemporaryFolder folder;
    const std::vector<std::string> more{"--samples", "10", "--replace-base-above", "59", "--checkpoint-steps", "3"};
    const std::string whole = folder / "whole", run = folder / "killed";
    Outcome o;
    std::vector<std::string> with_json = smoke("shrink", "smoke/anglenas", whole, more);
    with_json.push_back("--json");
    const double took = seconds([&] { o = rlnas(with_json); });
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json space = json::parse(read_text(whole + "/export/shrunk_space.json"));
    CHECK(json::parse(o.out) == space);
    CHECK(space["space"] == "mobilenet-fairnas");
    REQUIRE(space["stages"].size() == 3);
    std::size_t left = 0;
    for (const json& layer : space["layers"]) left += layer.size();
    CHECK(left == 19 * 6 - 3 * 30);
    for (int s = 0; s < 3; s++) {
        CHECK(space["stages"][static_cast<std::size_t>(s)]["dropped"].size() == 30);
        CHECK(space["stages"][static_cast<std::size_t>(s)]["base_replaced"] == (s == 1));  // 60 > 59
    }
    CHECK(kill_until_done(smoke("shrink", "smoke/anglenas", run, more), run, took, folder) >= 2);
    check_same_run(
        whole, run,
        {"export/init.safetensors", "export/base.safetensors", "export/final.safetensors", "export/shrunk_space.json"});

    // Only what is left is trained and searched.
    const std::string file = whole + "/export/shrunk_space.json", next = folder / "next";
    const Outcome searched = rlnas(smoke("run", "smoke/mobilenet", next, {"--shrunk", file, "--json"}));
    INFO(searched.err);
    REQUIRE(searched.code == 0);
    const json result = json::parse(searched.out);
    CHECK(result["candidates"] == space["size"]);
    for (const char* way : {"winner", "evolution", "exact"}) {
        const std::vector<int> ops = ops_of(result["search"][way]["arch"]);
        for (std::size_t b = 0; b < ops.size(); b++) {
            const std::vector<int> allowed = space["layers"][b];
            CHECK(std::find(allowed.begin(), allowed.end(), ops[b]) != allowed.end());
        }
    }
    // Another space's file is refused. A run has a copy of its own, and goes by that.
    CHECK(rlnas({"run", "--preset", "smoke/mobilenet", "--shrunk", file, "--out", folder / "other"}).code == 3);
    CHECK(rlnas(smoke("shrink", "smoke/anglenas", folder / "twice", {"--shrunk", file})).code == 2);
    write_text(file, "{}");
    CHECK(json::parse(rlnas({"search", "--run", next, "--json"}).out)["candidates"] == space["size"]);
    write_text(next + "/export/given_space.json", "{}");
    CHECK(rlnas({"search", "--run", next}).code == 3);
}

TEST_CASE("rlnas trains MobileNets on pictures of any size with random labels") {
    TemporaryFolder folder;
    write_folders(folder / "pictures");
    std::filesystem::remove_all(folder / "pictures/val");  // nobody needs them
    for (const char* labels : {"fixed-random", "per-access-random", "true"}) {
        CAPTURE(labels);
        const Outcome o = rlnas(smoke("run", "smoke/mobilenet", folder / labels,
                                      {"--data", "folder:" + (folder / "pictures"), "--pipeline", "rlnas", "--labels",
                                       labels, "--epochs", "1", "--method", "exact", "--draws", "counters"}));
        INFO(o.err);
        CHECK(o.code == 0);
    }
    CHECK(!same_file(folder / "true/export/final.safetensors", folder / "fixed-random/export/final.safetensors"));
    CHECK(!same_file(folder / "true/export/final.safetensors", folder / "per-access-random/export/final.safetensors"));
}

TEST_CASE("settings that MobileNets have not are refused") {
    TemporaryFolder folder;
    CHECK(rlnas(smoke("run", "smoke/mobilenet", folder / "a", {"--method", "exhaustive"})).code == 2);
    CHECK(rlnas(smoke("run", "smoke/mobilenet", folder / "b", {"--table", "x.csv"})).code == 2);
    CHECK(rlnas(smoke("run", "smoke/mobilenet", folder / "c", {"--angle-rules", "rlnas-cifar10"})).code == 2);
    CHECK(rlnas(smoke("run", "smoke/mobilenet", folder / "d", {"--size", "40"})).code == 2);
    CHECK(rlnas(smoke("run", "smoke/mobilenet", folder / "e", {"--clip", "5"})).code == 2);
    CHECK(rlnas(smoke("run", "smoke/mobilenet", folder / "f", {"--max-flops", "1000"})).code == 2);
    CHECK(rlnas(small_run(folder / "g", {"--shrunk", "x.json"})).code == 3);
    CHECK(rlnas(small_run(folder / "h", {"--schedule", "linear"})).code == 2);
}
