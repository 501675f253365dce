// spos on what is left of a space.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "nas/supernet/state_dict.h"
#include "tests/apps/spos_runs.h"

using namespace nascent::test;
namespace fs = std::filesystem;

namespace {

/// A part of ShuffleNetV2's space: in turns two of the four operators of a block, and one.
json part_of_shufflenet(const std::string& space = "shufflenet") {
    json layers = json::array();
    for (int b = 0; b < 20; b++) layers.push_back(b % 2 ? json{1 + b % 3} : json{b % 3, 3});
    return {{"format", "nascent shrunk space"}, {"version", 1}, {"space", space}, {"size", 1024}, {"layers", layers},
            {"stages", json::array()}};
}

/// The architectures of a run's candidates.csv.
std::vector<std::vector<int>> candidates_of(const std::string& run) {
    std::vector<std::vector<int>> all;
    std::vector<std::string> lines = lines_of(read_text(run + "/export/candidates.csv"));
    for (std::size_t i = 1; i < lines.size(); i++) {
        const std::size_t open = lines[i].find('('), close = lines[i].find(')');
        all.push_back(json::parse("[" + lines[i].substr(open + 1, close - open - 1) + "]"));
    }
    return all;
}

bool within(const std::vector<int>& ops, const json& space) {
    for (std::size_t b = 0; b < ops.size(); b++) {
        const std::vector<int> left = space.at("layers").at(b);
        if (std::find(left.begin(), left.end(), ops[b]) == left.end()) return false;
    }
    return ops.size() == space.at("layers").size();
}

/// Kills the program as soon as `path` exists.
void kill_at(const std::vector<std::string>& arguments, const std::string& path) {
    TemporaryFolder folder;
    const pid_t pid = start(arguments, folder.path(), {}, NASCENT_SPOS);
    for (int i = 0; i < 60'000 && !fs::exists(path); i++) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    kill(pid, SIGKILL);
    CHECK(finish(pid, folder.path()).code == -SIGKILL);
}

}  // namespace

TEST_CASE("spos trains and searches what is left of a shrunk space, killed or not, with a copy of its own") {
    TemporaryFolder folder;
    const std::string file = folder / "space.json", whole = folder / "whole", run = folder / "killed";
    const json space = part_of_shufflenet();
    write_text(file, space.dump());
    const std::vector<std::string> more{"--shrunk", file, "--m-prob", "0.5", "--checkpoint-steps", "1"};
    const Outcome o = spos(small_spos("run", whole, more));
    INFO(o.err);
    REQUIRE(o.code == 0);
    CHECK(o.err.find("a shrunk space: 1024 choices of operators") != std::string::npos);
    CHECK(json::parse(read_text(whole + "/arch.json")).at("space_left") == 1024);
    const auto found = candidates_of(whole);
    CHECK(found.size() == 12);
    for (const std::vector<int>& ops : found) CHECK(within(ops, space));
    const std::string csv = read_text(whole + "/export/candidates.csv");
    for (const char* origin : {",random,", ",mutation,", ",crossover,"}) CHECK(csv.find(origin) != std::string::npos);
    // Training left all other operators as they started.
    const auto trained = nascent::StateDict::read(whole + "/export/supernet.safetensors");
    for (std::size_t b = 0; b < 20; b++) {
        const std::vector<int> left = space.at("layers").at(b);
        for (int op = 0; op < 4; op++) {
            const std::string counts =
                "features." + std::to_string(b) + "." + std::to_string(op) + ".branch_main.1.num_batches_tracked";
            CAPTURE(counts);
            const bool is_left = std::find(left.begin(), left.end(), op) != left.end();
            const double batches = trained.at(counts).values[0];
            if (!is_left) CHECK(batches == 0);
            if (left.size() == 1 && is_left) CHECK(batches == 3);
        }
    }
    // Killed as soon as it is a run, perhaps in the training, and in the search, with the file gone.
    kill_at(small_spos("run", run, more), run + "/run.toml");
    CHECK(json::parse(read_text(run + "/export/given_space.json")) == space);
    fs::remove(file);
    if (!fs::exists(run + "/export/supernet.safetensors"))
        kill_at({"resume", run}, run + "/export/supernet.safetensors");
    const Outcome last = spos({"resume", run});
    INFO(last.err);
    REQUIRE(last.code == 0);
    CHECK(leavings(run) == leavings(whole));
    // A search of its own on that run keeps to the same space, also where the run has been moved to.
    const std::string moved = folder / "moved", again = folder / "again";
    fs::rename(run, moved);
    REQUIRE(
        spos({"search", "--run", moved, "--out", again, "--m-prob", "1", "--seed", "9", "--random", "rejected"}).code ==
        0);
    CHECK(candidates_of(again).size() == 12);
    for (const std::vector<int>& ops : candidates_of(again)) CHECK(within(ops, space));
    CHECK(json::parse(read_text(again + "/export/given_space.json")) == space);
    // A copy that is another space's part by now is not gone on with.
    fs::remove(moved + "/arch.json");
    json other = space;
    for (json& layer : other.at("layers")) layer = {layer.at(0)};
    write_text(moved + "/export/given_space.json", other.dump());
    refused({"resume", moved}, "has other operators than when the run was stopped", 3);
    fs::remove(moved + "/export/given_space.json");
    refused({"resume", moved}, "given_space.json", 3);
}

TEST_CASE("spos refuses a shrunk space that is of another one, and limits that nothing left keeps to") {
    TemporaryFolder folder;
    const std::string file = folder / "space.json", run = folder / "run";
    const auto never = [&](const json& space, const std::vector<std::string>& more, const std::string& message) {
        write_text(file, space.dump());
        for (const char* command : {"train", "run"}) {
            std::vector<std::string> arguments{command, "--preset", "smoke/spos", "--out", run, "--shrunk", file};
            arguments.insert(arguments.end(), more.begin(), more.end());
            refused(arguments, message, 3);
            CHECK(!fs::exists(run));
        }
    };
    never(part_of_shufflenet("mobilenet"), {}, file + ": a part of the space 'mobilenet', not of 'shufflenet'");
    never(part_of_shufflenet(), {"--space", "mobilenet"},
          file + ": a part of the space 'shufflenet', not of 'mobilenet'");
    json space = part_of_shufflenet();
    space["layers"].erase(19);
    never(space, {}, file + ": 19 layers; the space has 20");
    space = part_of_shufflenet();
    space["layers"][4] = {7};
    never(space, {}, file + ": layer 4: operator 7");
    space["layers"][4] = json::array();
    never(space, {}, file + ": layer 4 has no operator");
    fs::remove(file);
    refused({"train", "--preset", "smoke/spos", "--out", run, "--shrunk", file}, file, 3);
    CHECK(!fs::exists(run));
    // The whole space has architectures of so few MACs, what is left has none. Said before any training.
    const auto cost = [](const std::string& arch) {
        return json::parse(spos({"cost", arch, "--size", "32", "--classes", "10"}).out)
            .at("macs")
            .at("mac")
            .get<long>();
    };
    space = part_of_shufflenet();
    std::string dear = "(", cheap = "(";
    for (int b = 0; b < 20; b++) {
        space["layers"][static_cast<std::size_t>(b)] = {2};
        dear += b ? ", 2" : "2";
        cheap += b ? ", 0" : "0";
    }
    const long least = cost(dear + ")");
    REQUIRE(cost(cheap + ")") < least);
    write_text(file, space.dump());
    const std::string limit = std::to_string(least - 1);
    refused(small_spos("run", run, {"--shrunk", file, "--max-flops", limit}),
            "no architecture has MACs (mac) at most " + limit +
                "; the nearest that can be reached: " + std::to_string(least) + " above");
    CHECK(!fs::exists(run));
    refused({"train", "--preset", "smoke/spos", "--out", run, "--shrunk", file, "--sampling", "buckets", "--bucket-low",
             "0", "--bucket-high", limit, "--bucket-width", limit},
            "no architecture costs");
    CHECK(!fs::exists(run));
}
