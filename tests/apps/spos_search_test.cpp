// Searches on supernets as users meet them: whole runs, kills, other ways to the same result, wrong words.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "nas/algo/spos_config.h"
#include "nas/supernet/state_dict.h"
#include "tests/apps/program.h"
#include "tests/nas/data_pictures.h"

using namespace nascent::test;
namespace fs = std::filesystem;

namespace {

Outcome spos(const std::vector<std::string>& arguments) {
    TemporaryFolder folder;
    return finish(start(arguments, folder.path(), {}, NASCENT_SPOS), folder.path());
}

/// A run of some seconds: 12 candidates of three generations.
std::vector<std::string> small(const std::string& command, const std::string& out,
                               const std::vector<std::string>& more = {}) {
    std::vector<std::string> a{command, "--preset", "smoke/spos", "--threads", "1", "--out", out};
    if (command == "run") a.insert(a.end(), {"--synthetic-train", "48", "--epochs", "1"});
    a.insert(a.end(),
             {"--population", "4", "--select", "2", "--mutation", "2", "--crossover", "1", "--generations", "3"});
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

struct Leavings {
    std::string arch, candidates, svg, yaml, events, supernet, checkpoint;
    bool operator==(const Leavings&) const = default;
};
Leavings leavings(const std::string& run) {
    const std::string to = run + "/export/";
    Leavings l{read_text(run + "/arch.json"),
               read_text(to + "candidates.csv"),
               read_text(to + "arch.svg"),
               read_text(to + "arch.yaml"),
               events_of(run),
               "",
               read_text(newest_checkpoint(run) + "/state.json")};
    if (fs::exists(to + "supernet.safetensors")) l.supernet = read_text(to + "supernet.safetensors");
    return l;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
        lines.push_back(text.substr(at, end - at));
    return lines;
}

void refused(const std::vector<std::string>& arguments, const std::string& message, int code = 2) {
    const Outcome o = spos(arguments);
    CAPTURE(o.err);
    CHECK(o.code == code);
    CHECK(o.err.find(message) != std::string::npos);
}

}  // namespace

TEST_CASE("spos run trains, searches and leaves an architecture with all that is known of it") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    // Halfway between the extremes of the space at 32 pixels in ten classes.
    const Outcome o = spos(small("run", run, {"--json", "--max-flops", "6500000"}));
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
    const Outcome file = spos(small("search", third,
                                    {"--checkpoint", run + "/export/supernet.safetensors", "--max-flops", "6500000",
                                     "--synthetic-train", "48", "--json"}));
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
    time = seconds([&] { REQUIRE(spos(small("run", whole)).code == 0); });
    for (bool kill : {true, false}) {
        const std::string run = folder / (kill ? "killed" : "stopped");
        const std::vector<Outcome> lives = disturb(
            time,
            [&] {
                return fs::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run}
                                                     : small("run", run, {"--checkpoint-steps", "1"});
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

TEST_CASE("a latency table that spos latency wrote limits a search") {
    TemporaryFolder folder;
    const std::string table = folder / "table.csv", run = folder / "run";
    const Outcome measured = spos({"latency", "--size", "32", "--classes", "10", "--threads", "1", "--repeats", "3",
                                   "--warmup", "1", "-o", table});
    INFO(measured.err);
    REQUIRE(measured.code == 0);
    const json about = json::parse(measured.out);
    CHECK(about.at("path") == table);
    const double low = about.at("fastest_ns").get<double>(), high = about.at("slowest_ns").get<double>();
    CHECK(low < high);
    const std::string text = read_text(table);
    CHECK(text.starts_with(
        "# spos latency table\n# space: shufflenet\n# size: 32\n# classes: 10\n# batch: 1\n# device: "));
    CHECK(lines_of(text).size() == 10 + 2 + 80);
    const double limit = (low + (high - low) / 3) * 1e-6;
    const Outcome o =
        spos(small("run", run, {"--latency-table", table, "--max-latency", std::to_string(limit), "--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(result.at("latency").at("nanoseconds").get<double>() <= limit * 1e6);
    for (const json& candidate : result.at("top")) CHECK(candidate.at("latency_ns").get<double>() <= limit * 1e6);

    // Said before any training: no run is left behind.
    const auto never = [&](std::vector<std::string> more, const std::string& message, int code = 2) {
        refused(small("run", folder / "never", more), message, code);
        CHECK(!fs::exists(folder / "never"));
    };
    never({"--latency-table", table, "--max-latency", std::to_string(low * 0.5e-6)}, "the nearest that can be reached");
    never({"--latency-table", table}, "search.latency_table without search.max_latency limits nothing");
    never({"--max-latency", "3"}, "search.max_latency needs search.latency_table");
    std::string lacking = text;
    const std::size_t row = lacking.find("\n7,2,") + 1;
    lacking.erase(row, lacking.find('\n', row) + 1 - row);
    const std::string bad = folder / "bad.csv";
    write_text(bad, lacking);
    never({"--latency-table", bad, "--max-latency", "3"}, "no entry for block 7, operator 2 (shuffle_7x7)", 3);
    write_text(bad, text.substr(0, text.size() - 5) + "x\n");
    never({"--latency-table", bad, "--max-latency", "3"}, "bad.csv:92: expected a whole number of nanoseconds", 3);
    never({"--latency-table", table, "--max-latency", "3", "--size", "64"}, "measure it again: spos latency");
    never({"--max-flops", "1000000"},
          "no architecture has MACs (mac) at most 1000000; the nearest that can be reached");
    never({"--search-batch", "65", "--pictures", "0"},
          "the evaluation set has 64 validation pictures, fewer than the 65");
    never({"--search-batch", "33"}, "the evaluation set is smaller than a batch");
    never({"--evaluation", "slices", "--pictures", "65"}, "fewer than the 65 of a slice");
}

TEST_CASE("corrupt pictures among good ones end a search by their name, or others take their places") {
    TemporaryFolder folder;
    const std::string data = folder / "data";
    for (auto [split, count] : {std::pair{"train", 8}, {"val", 6}})
        for (int i = 0; i < 2 * count; i++) {
            const std::string path = fmt::format("{}/{}/{}/{}", data, split, i % 2 ? "a" : "b", i);
            fs::create_directories(fs::path(path).parent_path());
            const auto pixels = nascent::testing::noise(50, 60, static_cast<std::uint32_t>(i));
            write_text(path, nascent::testing::jpeg(60, 50, JCS_RGB, 3, pixels));
        }
    write_text(data + "/val/a/3", "no picture");
    const auto run = [&](const std::string& out, std::vector<std::string> more) {
        std::vector<std::string> a =
            small("run", out,
                  {"--data", "folder:" + data, "--pipeline", "spos", "--size", "32", "--steps", "2", "--batch", "4",
                   "--calibration", "8", "--calibration-batch", "4", "--pictures", "12", "--search-batch", "4"});
        a.insert(a.end(), more.begin(), more.end());
        return a;
    };
    refused(run(folder / "run", {}), "val/a/3", 3);
    // What was trained is there still.
    const std::string supernet = read_text(folder / "run/export/supernet.safetensors");
    const Outcome o = spos({"search", "--run", folder / "run", "--skip-corrupt", "--out", folder / "again", "--json"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    CHECK(json::parse(o.out).at("score").at("pictures") == 12);
    const Outcome whole = spos(run(folder / "whole", {"--skip-corrupt", "--json"}));
    REQUIRE(whole.code == 0);
    CHECK(json::parse(whole.out).at("score") == json::parse(o.out).at("score"));
    CHECK(read_text(folder / "whole/export/supernet.safetensors") == supernet);
    // Candidates side by side, or not from captures: the same.
    const Outcome together =
        spos(run(folder / "together", {"--skip-corrupt", "--json", "--together", "3", "--threads", "2"}));
    INFO(together.err);
    REQUIRE(together.code == 0);
    CHECK(json::parse(together.out).at("score") == json::parse(o.out).at("score"));
    CHECK(json::parse(together.out).at("ops") == json::parse(o.out).at("ops"));
}

TEST_CASE("searches refuse what they cannot begin with") {
    TemporaryFolder folder;
    refused({"search"}, "search needs a trained supernet");
    refused({"search", "--run", folder / "none"}, "no run, there is no run.toml");
    refused({"search", "--run", folder.path(), "--epochs", "3"}, "--epochs");
    const std::string run = folder / "run";
    REQUIRE(spos({"train", "--preset", "smoke/spos", "--synthetic-train", "16", "--epochs", "1", "--out", run}).code ==
            0);
    CHECK(!fs::exists(run + "/arch.json"));
    const std::string net = run + "/export/supernet.safetensors";
    refused({"search", "--run", run, "--space", "mobilenet", "--out", folder / "x"},
            "a supernet of the space shufflenet, expected one of mobilenet");
    CHECK(!fs::exists(folder / "x"));
    std::string bytes = read_text(net);
    write_text(net, bytes.substr(0, bytes.size() / 2));
    refused({"search", "--run", run, "--out", folder / "x"}, "supernet.safetensors", 4);
    fs::remove(net);
    refused({"search", "--run", run, "--out", folder / "x"}, "the training is not over");
    CHECK(spos({"search", "--help"}).out.find("--prefix-sharing") != std::string::npos);
}

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
    const Outcome o = spos(small("run", whole, more));
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
    kill_at(small("run", run, more), run + "/run.toml");
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
    refused(small("run", run, {"--shrunk", file, "--max-flops", limit}),
            "no architecture has MACs (mac) at most " + limit +
                "; the nearest that can be reached: " + std::to_string(least) + " above");
    CHECK(!fs::exists(run));
    refused({"train", "--preset", "smoke/spos", "--out", run, "--shrunk", file, "--sampling", "buckets", "--bucket-low",
             "0", "--bucket-high", limit, "--bucket-width", limit},
            "no architecture costs");
    CHECK(!fs::exists(run));
}

TEST_CASE("search settings of published programs are those of their code") {
    const auto preset = [](const char* name) {
        nascent::SposConfig c = nascent::spos_preset(name);
        c.data.source = "folder:/none";
        nascent::resolve(c);
        return c.search;
    };
    for (const std::string& name : nascent::spos_preset_names()) {
        if (name == "none") continue;
        CAPTURE(name);
        CHECK_NOTHROW(nascent::check(preset(name.c_str())));
    }
    const auto spos_search = preset("spos/shufflenet"), mmrazor = preset("spos/shufflenet-mmrazor"),
               angle = preset("spos/mobilenet");
    for (const auto& s : {spos_search, mmrazor, angle}) {
        CHECK(s.population == 50);
        CHECK(s.select == 10);
        CHECK(s.mutation == 25);
        CHECK(s.crossover == 25);
    }
    CHECK(spos_search.max_flops == 330'000'000);
    CHECK(spos_search.generations == 21);
    CHECK(spos_search.calibration == 200 * 128);
    CHECK(spos_search.pictures == 40 * 200);
    CHECK(mmrazor.norms == "batch");
    CHECK(mmrazor.batch == 128);
    CHECK(mmrazor.generations == 20);
    CHECK(angle.m_prob == 0.5);
    CHECK(angle.max_flops == 475'000'000);
    CHECK(angle.calibration == 20'000);
    CHECK(angle.calibration_batch == 64);
}

TEST_CASE("a run on the gpu trains and searches, and finds the same without captures") {
    TemporaryFolder folder;
    std::vector<std::string> arches;
    for (bool capture : {true, false}) {
        const std::string run = folder / (capture ? "captured" : "plain");
        std::vector<std::string> a = small("run", run,
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
