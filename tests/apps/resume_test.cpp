// Runs that end before their time and go on.
#include <doctest/doctest.h>

#include "tests/apps/program.h"

using namespace nascent::test;

namespace {

/// The arguments of a run's next life.
std::function<std::vector<std::string>()> life(const std::string& run, const std::vector<std::string>& more) {
    return [=] {
        return std::filesystem::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run}
                                                          : small_run(run, more);
    };
}

}  // namespace

TEST_CASE("a run that is stopped by SIGTERM goes on to the same bits") {
    TemporaryFolder folder;
    const std::vector<std::string> longer{"--epochs", "40"};
    const double whole = seconds([&] { REQUIRE(rlnas(small_run(folder / "whole", longer)).code == 0); });
    const std::string run = folder / "stopped";
    int stops = 0;
    for (const Outcome& o : disturb(
             whole, life(run, longer), [](int attempt) { return attempt % 2 ? SIGINT : SIGTERM; }, folder.path())) {
        // A signal before the handler is up ends the process as signals do; nothing is lost then either.
        INFO(o.err);
        REQUIRE((o.code == 0 || o.code == 75 || o.code == -SIGTERM || o.code == -SIGINT));
        stops += o.code == 75;
    }
    CHECK(stops >= 1);
    const Outcome last = rlnas({"resume", run});
    INFO(last.err);
    REQUIRE(last.code == 0);
    CHECK(remains(run) == remains(folder / "whole"));
}

TEST_CASE("a run that is killed at any moment goes on to the same bits") {
    TemporaryFolder folder;
    const std::vector<std::string> longer{"--epochs", "20", "--checkpoint-seconds", "1"};
    const double whole = seconds([&] { REQUIRE(rlnas(small_run(folder / "whole", longer)).code == 0); });
    const std::string run = folder / "killed";
    int kills = 0;
    // Early ones meet the run folder being made, later ones the training, its end and the search.
    for (const Outcome& o : disturb(
             whole, life(run, longer), [](int) { return SIGKILL; }, folder.path())) {
        INFO(o.err);
        REQUIRE((o.code == 0 || o.code == -SIGKILL));
        kills += o.code != 0;
    }
    CHECK(kills >= 3);
    const Outcome last = rlnas({"resume", run});
    INFO(last.err);
    REQUIRE(last.code == 0);
    CHECK(remains(run) == remains(folder / "whole"));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(run))
        CHECK_MESSAGE(entry.path().string().find(".tmp-") == std::string::npos, entry.path());
}

TEST_CASE("a run that goes on elsewhere says what is different") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    REQUIRE(rlnas(small_run(run)).code == 0);
    const Remains usual = remains(run);
    const std::string final_state = run + "/export/final.safetensors";
    // Moved, and named by a relative path.
    std::filesystem::remove(final_state);
    std::filesystem::rename(run, folder / "moved");
    CHECK(std::system(("cd " + folder.path() + " && " NASCENT_RLNAS " resume moved/ >/dev/null 2>&1").c_str()) == 0);
    std::filesystem::rename(folder / "moved", run);
    CHECK(remains(run) == usual);
    // On another instruction set.
    std::filesystem::remove(final_state);
    std::string state;
    for (const auto& e : std::filesystem::directory_iterator(run + "/ckpt"))
        if (e.is_directory()) state = std::max(state, read_text(e.path().string() + "/state.json"));
    if (state.find("\"target\":\"cpu (fallback)\"") == std::string::npos) {
        setenv("NASCENT_CPU_TARGET", "fallback", 1);
        const Outcome o = rlnas({"resume", run});
        CHECK(o.code == 0);
        CHECK(o.err.find("goes on on cpu (fallback)") != std::string::npos);
        std::filesystem::remove(final_state);
    }
    setenv("NASCENT_CPU_TARGET", "sse9", 1);
    const Outcome unknown = rlnas({"resume", run});
    unsetenv("NASCENT_CPU_TARGET");
    CHECK(unknown.code == 2);
    CHECK(unknown.err.find("NASCENT_CPU_TARGET") != std::string::npos);
    // With other pictures.
    std::string settings = read_text(run + "/run.toml");
    settings.replace(settings.find("synthetic_train = 256"), 21, "synthetic_train = 255");
    write_text(run + "/run.toml", settings);
    const Outcome fewer = rlnas({"resume", run});
    CHECK(fewer.code == 3);
    CHECK(fewer.err.find("255 training pictures") != std::string::npos);
    CHECK(read_text(run + "/log.txt").find("255 training pictures, there were") != std::string::npos);
}

TEST_CASE("a finished training is searched again without its pictures") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    REQUIRE(rlnas(small_run(run)).code == 0);
    const std::string arch = read_text(run + "/arch.json");
    std::string settings = read_text(run + "/run.toml");
    settings.replace(settings.find("\"synthetic\""), 11, "\"cifar10:/nowhere\"");
    write_text(run + "/run.toml", settings);
    std::filesystem::remove(run + "/arch.json");
    const Outcome o = rlnas({"resume", run});
    INFO(o.err);
    REQUIRE(o.code == 0);
    CHECK(read_text(run + "/arch.json") == arch);
}
