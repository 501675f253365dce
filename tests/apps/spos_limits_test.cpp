// What a search of spos keeps to, and what it does not begin with.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/apps/spos_runs.h"
#include "tests/nas/data_pictures.h"

using namespace nascent::test;
namespace fs = std::filesystem;

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
        spos(small_spos("run", run, {"--latency-table", table, "--max-latency", std::to_string(limit), "--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    CHECK(result.at("latency").at("nanoseconds").get<double>() <= limit * 1e6);
    for (const json& candidate : result.at("top")) CHECK(candidate.at("latency_ns").get<double>() <= limit * 1e6);

    // Said before any training: no run is left behind.
    const auto never = [&](std::vector<std::string> more, const std::string& message, int code = 2) {
        refused(small_spos("run", folder / "never", more), message, code);
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
        std::vector<std::string> a = small_spos(
            "run", out,
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
