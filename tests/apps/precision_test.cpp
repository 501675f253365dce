// --precision tf32 and bf16, on the emulator where there is no CUDA.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/apps/search_leavings.h"

using namespace nascent::test;

namespace {

Outcome emulated(const std::vector<std::string>& arguments, const std::string& program = NASCENT_RLNAS) {
    TemporaryFolder folder;
    return finish(start(arguments, folder.path(), {{"NASCENT_EMULATE", "1"}}, program), folder.path());
}

std::vector<std::string> tiny_run(const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> a{
        "run", "--data",   "synthetic", "--synthetic-train", "16", "--size", "8", "--channels", "8",    "--cells",
        "1",   "--epochs", "6",         "--batch",           "4",  "--seed", "3", "--lr",       "0.05", "--out",
        out};
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

/// Of a build with CUDA on a machine without a GPU.
bool no_gpu(const Outcome& o) {
    if (o.code != 5 || o.err.find("no GPU can be used") == std::string::npos) return false;
    MESSAGE("[SKIPPED] ", o.err);
    return true;
}

}  // namespace

TEST_CASE("--precision is of the gpu and of float32 in every program") {
    TemporaryFolder folder;
    for (const std::string& program :
         {std::string(NASCENT_RLNAS), std::string(NASCENT_DARTS_SEARCH), std::string(NASCENT_SPOS)}) {
        CAPTURE(program);
        auto run = [&](std::vector<std::string> more) {
            std::vector<std::string> a{"run", "--data", "synthetic", "--out", folder / "none", "--precision"};
            a.insert(a.end(), more.begin(), more.end());
            return emulated(a, program);
        };
        for (const std::string& precision : {std::string("tf32"), std::string("bf16")}) {
            const Outcome cpu = run({precision}), wide = run({precision, "--device", "gpu", "--dtype", "float64"});
            CHECK(cpu.code == 2);
            CHECK(cpu.err.find("train.precision = " + precision + " is of the gpu") != std::string::npos);
            CHECK(wide.code == 2);
            CHECK(wide.err.find("train.precision = " + precision + " is of train.dtype = float32") !=
                  std::string::npos);
        }
        CHECK(run({"half", "--device", "gpu"}).code == 2);
    }
    // Networks whose activations are float32 still.
    const std::string none = folder / "none";
    for (const auto& [program, more] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {NASCENT_RLNAS, {"--space", "mobilenet"}}, {NASCENT_SPOS, {}}}) {
        std::vector<std::string> a{"run",      "--data", "synthetic",   "--out", none,
                                   "--device", "gpu",    "--precision", "bf16"};
        a.insert(a.end(), more.begin(), more.end());
        const Outcome o = emulated(a, program);
        CAPTURE(program);
        CHECK(o.code == 2);
        CHECK(o.err.find("train.precision = bf16 is not of ") != std::string::npos);
    }
    CHECK_FALSE(std::filesystem::exists(folder / "none"));
}

namespace {

/// Learns, twice to the same bits, and goes on in this precision alone.
void check_run(const std::string& precision) {
    const std::vector<std::string> asked{"--device", "gpu", "--precision", precision};
    TemporaryFolder folder, output;
    const Outcome o = emulated(tiny_run(folder / "one", asked));
    if (no_gpu(o)) return;
    INFO(o.err);
    REQUIRE(o.code == 0);
    REQUIRE(emulated({"run", "--config", folder / "one/run.toml", "--out", folder / "two"}).code == 0);
    CHECK(remains(folder / "one") == remains(folder / "two"));
    REQUIRE(emulated(tiny_run(folder / "strict", {"--device", "gpu"})).code == 0);
    CHECK(remains(folder / "strict").initial == remains(folder / "one").initial);
    CHECK(remains(folder / "strict").trained != remains(folder / "one").trained);
    CHECK(json::parse(read_text(folder / "one/arch.json")).at("device").get<std::string>().ends_with(", " + precision));
    CHECK_FALSE(
        json::parse(read_text(folder / "strict/arch.json")).at("device").get<std::string>().ends_with(precision));

    std::vector<double> losses;
    const std::string events = read_text(folder / "one/events.jsonl");
    for (std::size_t at = 0, end; (end = events.find('\n', at)) != std::string::npos; at = end + 1)
        if (const json record = json::parse(events.substr(at, end - at)); record.contains("loss"))
            losses.push_back(record.at("loss").get<double>());
    REQUIRE(losses.size() >= 6);
    CHECK(losses.back() < losses.front());

    // Stopped and resumed: where it was, to the same bits; neither elsewhere nor otherwise.
    const std::string run = folder / "stopped";
    std::vector<std::string> arguments = tiny_run(run, asked);
    arguments.insert(arguments.end(), {"--checkpoint-steps", "2"});
    const pid_t pid = start(arguments, output.path(), {{"NASCENT_EMULATE", "1"}});
    while (waitpid(pid, nullptr, WNOHANG) == 0 && !std::filesystem::exists(run + "/ckpt/step-000000006")) usleep(2000);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    const Outcome cpu = rlnas({"resume", run, "--device", "cpu"});
    CHECK(cpu.code == 2);
    CHECK(cpu.err.find("train.precision = " + precision + " is of the gpu") != std::string::npos);
    CHECK(rlnas({"resume", run, "--precision", "float32"}).code == 2);
    REQUIRE(emulated({"resume", run}).code == 0);
    CHECK(remains(run).trained == remains(folder / "one").trained);
}

}  // namespace

TEST_CASE("a run in tf32 learns, twice to the same bits, and goes on in tf32 alone") { check_run("tf32"); }
TEST_CASE("a run in bf16 learns, twice to the same bits, and goes on in bf16 alone") { check_run("bf16"); }

TEST_CASE("a search in bf16 and second order is warned of its noise") {
    for (const char* order : {"1st", "2nd"}) {
        TemporaryFolder folder;
        const Outcome o = emulated(small_search(std::string("smoke/nb201-") + order, folder / "run",
                                                {"--device", "gpu", "--precision", "bf16", "--epochs", "1"}),
                                   NASCENT_DARTS_SEARCH);
        if (no_gpu(o)) return;
        INFO(o.err);
        REQUIRE(o.code == 0);
        const bool warned = o.err.find("bf16's roundings") != std::string::npos;
        CHECK(warned == (std::string(order) == "2nd"));
    }
}
