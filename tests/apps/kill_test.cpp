// A run that is killed thirty times, at random moments and inside the system calls that write its files, ends with the
// bits of one that was not.
#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <thread>

#include "engine/base/rng.h"
#include "tests/apps/program.h"

using namespace nascent::test;
using nascent::Random;
using nascent::RandomStream;

TEST_CASE("a run survives thirty SIGKILLs to the same bits") {
#ifdef NASCENT_CHECKED
    std::puts("[SKIPPED] the library that kills inside system calls cannot be loaded before a sanitizer's");
#else
    TemporaryFolder folder;
    const std::vector<std::string> setting{"--epochs", "60", "--generations", "40"};
    REQUIRE(rlnas(small_run(folder / "whole", setting)).code == 0);
    const std::string run = folder / "killed";
    std::map<std::string, int> kills;
    int total = 0, after_training = 0;
    for (int life = 0; total < 30 || kills.size() < 5 || after_training < 2; life++) {
        REQUIRE(life < 400);
        const Random r(17, RandomStream::test, static_cast<std::uint64_t>(life), 0);
        const std::string steps = std::to_string(1 + r.below(0, 40));  // random intervals between checkpoints
        const char* const calls[] = {"write", "write", "fsync", "rename", "renamed", "time"};
        const std::string call = calls[life % 6];
        const std::uint32_t range = call == "write" ? 500 : 12;
        Environment environment{{"LD_PRELOAD", NASCENT_KILL_SHIM}};
        if (call != "time")
            environment.emplace_back("NASCENT_TEST_KILL", call + ":" + std::to_string(1 + r.below(1, range)));
        auto arguments = std::filesystem::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run}
                                                                    : small_run(run, setting);
        arguments.insert(arguments.end(), {"--checkpoint-steps", steps});
        const pid_t pid = start(arguments, folder.path(), environment);
        if (call == "time") {
            std::this_thread::sleep_for(std::chrono::milliseconds(20 + r.below(1, 400)));
            kill(pid, SIGKILL);
        }
        const Outcome o = finish(pid, folder.path());
        INFO(o.err);
        REQUIRE((o.code == -SIGKILL || o.code == 0));
        if (o.code != -SIGKILL) {
            // Finished in spite of it: go on with the last part of the way. What is taken away is what a kill could
            // have prevented.
            std::filesystem::remove(run + "/arch.json");
            std::filesystem::remove(run + "/export/final.safetensors");
            std::filesystem::remove(run + "/ckpt/search.json");
            continue;
        }
        kills[call]++;
        total++;
        after_training += std::filesystem::exists(run + "/export/final.safetensors");
    }
    for (const auto& [call, count] : kills) MESSAGE(call << ": " << count << " kills");
    MESSAGE(after_training << " of them after the training, in the search and its files");
    CHECK(after_training >= 2);
    const Outcome last = rlnas({"resume", run});
    INFO(last.err);
    REQUIRE(last.code == 0);
    CHECK(remains(run) == remains(folder / "whole"));
    CHECK(!remains(run).population.empty());
#endif
}
