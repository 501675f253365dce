// What happens to a run when the world is bad: damaged files, full disks, numbers that run away, two processes at once.
#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "tests/apps/program.h"

using namespace nascent::test;
namespace fs = std::filesystem;

namespace {

/// A run stopped by SIGTERM after its training had written at least two checkpoints beside the first.
void stopped_run(const std::string& run, const std::string& folder) {
    const pid_t pid = start(small_run(run, {"--epochs", "2000", "--checkpoint-steps", "5"}), folder);
    auto checkpoints = [&] {
        int n = 0;
        std::error_code ignored;
        for (const auto& e : fs::directory_iterator(run + "/ckpt", ignored))
            n += e.path().filename().string().starts_with("step-");
        return n;
    };
    for (int i = 0; i < 600 && checkpoints() < 3; i++) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    kill(pid, SIGTERM);
    REQUIRE(finish(pid, folder).code == 75);
    // A short rest of the way.
    std::string toml = read_text(run + "/run.toml");
    toml.replace(toml.find("epochs = 2000"), 13, "epochs = 2001");
    write_text(run + "/run.toml", toml);
}

void damage(const std::string& file, bool cut) {
    std::string bytes = read_text(file);
    if (cut)
        bytes.resize(bytes.size() / 2);
    else
        bytes[bytes.size() * 3 / 4] = static_cast<char>(bytes[bytes.size() * 3 / 4] ^ 4);
    write_text(file, bytes);
}

}  // namespace

TEST_CASE("a damaged checkpoint is named and the one before it serves, without one the exit code is 4") {
    for (bool cut : {false, true}) {
        CAPTURE(cut);
        TemporaryFolder folder;
        const std::string run = folder / "run";
        stopped_run(run, folder.path());
        damage(newest_checkpoint(run) + "/state.safetensors", cut);
        const std::string damaged = newest_checkpoint(run);
        const pid_t pid = start({"resume", run}, folder.path());
        // The handler is up before the checkpoint is read.
        for (int i = 0; i < 1200 && read_text(folder / "err").find("warning") == std::string::npos; i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        kill(pid, SIGTERM);
        const Outcome o = finish(pid, folder.path());
        INFO(o.err);
        CHECK(o.code == 75);  // it went on
        CHECK(o.err.find("warning") != std::string::npos);
        CHECK(o.err.find(damaged) != std::string::npos);
        for (const auto& e : fs::directory_iterator(run + "/ckpt"))
            if (e.path().filename().string().starts_with("step-"))
                damage(e.path().string() + "/state.safetensors", cut);
        const Outcome none = rlnas({"resume", run});
        INFO(none.err);
        CHECK(none.code == 4);
        CHECK(none.err.find("state.safetensors") != std::string::npos);
    }
}

TEST_CASE("two processes cannot work in one run") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const pid_t pid = start(small_run(run, {"--epochs", "5000"}), folder.path());
    for (int i = 0; i < 200 && !fs::exists(run + "/ckpt/step-000000000"); i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const Outcome second = rlnas({"resume", run});
    INFO(second.err);
    CHECK(second.code == 2);
    CHECK(second.err.find(std::to_string(pid)) != std::string::npos);
    kill(pid, SIGTERM);
    CHECK(finish(pid, folder.path()).code == 75);
}

TEST_CASE("a loss that is not finite ends the run with the step and with advice") {
    TemporaryFolder folder;
    const Outcome o = rlnas(small_run(folder / "run", {"--lr", "1e5", "--epochs", "20"}));
    INFO(o.err);
    CHECK(o.code == 1);
    CHECK(o.err.find("step") != std::string::npos);
    CHECK(o.err.find("loss") != std::string::npos);
}

TEST_CASE("a full disk and a read-only one end the run with their names, what was written goes on") {
    TemporaryFolder folder;
    const std::string disk = folder / "disk";
    fs::create_directories(disk);
    if (mount("none", disk.c_str(), "tmpfs", 0, "size=256k") != 0) {
        std::puts("[SKIPPED] a small disk needs the right to mount one");
        return;
    }
    struct Unmount {
        std::string path;
        ~Unmount() { umount(path.c_str()); }
    } unmount{disk};
    const std::string run = disk + "/run";
    const Outcome full = rlnas(small_run(run, {"--channels", "16"}));
    INFO(full.err);
    CHECK(full.code == 1);
    CHECK(full.err.find("No space left") != std::string::npos);
    CHECK(full.err.find(disk) != std::string::npos);
    // Room again: the same command, or resume where the run had begun, works.
    REQUIRE(mount("none", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0);
    const Outcome again =
        fs::exists(run + "/run.toml") ? rlnas({"resume", run}) : rlnas(small_run(run, {"--channels", "16"}));
    INFO(again.err);
    CHECK(again.code == 0);
    REQUIRE(mount("none", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=64m") == 0);
    const Outcome read_only = rlnas(small_run(disk + "/other"));
    INFO(read_only.err);
    CHECK(read_only.code == 1);
    CHECK(read_only.err.find("Read-only") != std::string::npos);
}

#ifndef NASCENT_CHECKED  // sanitizers reserve more address space than any limit leaves
TEST_CASE("too little memory is exit code 5") {
    TemporaryFolder folder;
    const pid_t pid = fork();
    if (pid == 0) {
        const rlimit little{300 << 20, 300 << 20};
        setrlimit(RLIMIT_AS, &little);
        const pid_t child = start(small_run(folder / "run"), folder.path());
        _exit(finish(child, folder.path()).code);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    REQUIRE(WIFEXITED(status));
    INFO(read_text(folder / "err"));
    CHECK(WEXITSTATUS(status) == 5);
    CHECK(!read_text(folder / "err").empty());
}
#endif
