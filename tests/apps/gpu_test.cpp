// rlnas --device gpu, on the emulator where there is no CUDA.
#include <doctest/doctest.h>

#include "tests/apps/program.h"

using namespace nascent::test;

namespace {

Outcome emulated(const std::vector<std::string>& arguments) {
    TemporaryFolder folder;
    return finish(start(arguments, folder.path(), {{"NASCENT_EMULATE", "1"}}), folder.path());
}

std::vector<std::string> tiny_run(const std::string& out, const std::string& epochs, const std::string& device) {
    return {"run", "--data",  "synthetic", "--synthetic-train", "16",   "--size",  "8", "--channels",
            "4",   "--cells", "1",         "--epochs",          epochs, "--batch", "4", "--seed",
            "3",   "--out",   out,         "--device",          device};
}

/// Of a build with CUDA on a machine without a GPU.
bool no_gpu(const Outcome& o) {
    if (o.code != 5 || o.err.find("no GPU can be used") == std::string::npos) return false;
    MESSAGE("[SKIPPED] ", o.err);
    return true;
}

}  // namespace

TEST_CASE("--device gpu without a GPU is an error that says what can be done") {
    TemporaryFolder folder;
    unsetenv("NASCENT_EMULATE");
    const Outcome o = rlnas(tiny_run(folder / "run", "1", "gpu"));
    if (o.code == 0) return;  // there is one
    CHECK(o.code == 5);
    CHECK(o.err.find("NASCENT_EMULATE=1") != std::string::npos);
    CHECK(o.err.find("--device cpu") != std::string::npos);
}

TEST_CASE("a run on the gpu names it everywhere, stops, and goes on") {
    TemporaryFolder folder;
    const std::string whole = folder / "whole", run = folder / "run";
    const Outcome o = emulated(tiny_run(whole, "3", "gpu"));
    if (no_gpu(o)) return;
    INFO(o.err);
    REQUIRE(o.code == 0);
    const std::string device = json::parse(read_text(whole + "/arch.json")).at("device").get<std::string>();
    CHECK(device.starts_with("gpu"));
    CHECK(read_text(whole + "/log.txt").find(device) != std::string::npos);

    // Killed after a checkpoint, at the end of the second epoch, and resumed: the same bits.
    std::vector<std::string> arguments = tiny_run(run, "3", "gpu");
    arguments.insert(arguments.end(), {"--checkpoint-steps", "2"});
    TemporaryFolder output;
    const pid_t pid = start(arguments, output.path(), {{"NASCENT_EMULATE", "1"}});
    while (waitpid(pid, nullptr, WNOHANG) == 0 && !std::filesystem::exists(run + "/ckpt/step-000000006")) usleep(2000);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    const Outcome resumed = emulated({"resume", run});
    INFO(resumed.err);
    REQUIRE(resumed.code == 0);
    CHECK(remains(run).trained == remains(whole).trained);
    CHECK(remains(run).arch == remains(whole).arch);
}

TEST_CASE("a run that began on the gpu goes on on the cpu, and says so") {
    TemporaryFolder folder, output;
    const std::string run = folder / "run", whole = folder / "whole";
    std::vector<std::string> arguments = tiny_run(run, "6", "gpu");
    arguments.insert(arguments.end(), {"--checkpoint-steps", "1"});
    const pid_t pid = start(arguments, output.path(), {{"NASCENT_EMULATE", "1"}});
    while (waitpid(pid, nullptr, WNOHANG) == 0 && !std::filesystem::exists(run + "/ckpt/step-000000006")) usleep(2000);
    kill(pid, SIGTERM);
    const Outcome stopped = finish(pid, output.path());
    if (no_gpu(stopped)) return;
    const Outcome resumed = rlnas({"resume", run, "--device", "cpu"});
    INFO(resumed.err);
    REQUIRE(resumed.code == 0);
    CHECK(read_text(run + "/log.txt").find("was on gpu") != std::string::npos);
    CHECK(json::parse(read_text(run + "/arch.json")).at("device").get<std::string>().starts_with("cpu"));
    REQUIRE(rlnas(tiny_run(whole, "6", "cpu")).code == 0);
    // Float32 on both: the network found is the same.
    CHECK(json::parse(read_text(run + "/arch.json")).at("arch") ==
          json::parse(read_text(whole + "/arch.json")).at("arch"));
}

TEST_CASE("a search by gradients runs on the gpu as on the cpu, in both orders and by every algorithm") {
    for (const char* preset :
         {"smoke/nb201-1st", "smoke/nb201-2nd", "smoke/drnas", "smoke/gdas", "smoke/rsps", "smoke/snas"}) {
        CAPTURE(preset);
        TemporaryFolder folder, output;
        auto arguments = [&](const std::string& device) {
            return std::vector<std::string>{
                "run",           "--preset", preset,       "--size", "8",       "--synthetic-train", "16",
                "--batch",       "4",        "--channels", "2",      "--dtype", "float64",           "--out",
                folder / device, "--device", device};
        };
        const Outcome gpu = finish(
            start(arguments("gpu"), output.path(), {{"NASCENT_EMULATE", "1"}}, NASCENT_DARTS_SEARCH), output.path());
        if (no_gpu(gpu)) return;
        INFO(gpu.err);
        REQUIRE(gpu.code == 0);
        REQUIRE(darts_search(arguments("cpu")).code == 0);
        const json on_gpu = json::parse(read_text(folder / "gpu/export/alphas.json")),
                   on_cpu = json::parse(read_text(folder / "cpu/export/alphas.json"));
        for (std::size_t e = 0; e < 6; e++)
            for (std::size_t o = 0; o < 5; o++) {
                const double a = on_gpu.at("arch_parameters")[e][o], b = on_cpu.at("arch_parameters")[e][o];
                // Steps of Adam are 3e-4 whatever the gradient; six of them, from gradients equal to about 1e-9.
                CHECK(std::abs(a - b) < 1e-8);
            }
    }
}
