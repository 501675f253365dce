#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

#include "nas/run/checkpoint.h"
#include "tests/nas/run_testing.h"

using namespace nascent;
using namespace nascent::test;
namespace fs = std::filesystem;

TEST_CASE("checkpoints: the newest two and the first are kept") {
    TemporaryFolder folder;
    RunDirectory run = RunDirectory::create(folder / "r", "");
    for (std::int64_t step : {0, 5, 10, 48210, 1'000'000'000}) save(run, step);
    CHECK(run.checkpoints().steps() == std::vector<std::int64_t>{0, 48210, 1'000'000'000});
    CHECK(fs::exists(folder / "r/ckpt/step-000048210/state.safetensors"));
    CHECK(nlohmann::json::parse(read_text(folder / "r/ckpt/step-000048210/state.json"))["state"]["cursor"] == 48210);
    check_is(run.checkpoints().load(0), 0);
    check_is(*run.restore(), 1'000'000'000);
    save(run, 1'000'000'000);  // again, as after a resume that has nothing left to do
    check_is(*run.restore(), 1'000'000'000);
    CHECK(error_of(ErrorKind::checkpoint, [&] { run.checkpoints().load(7); }) != "");
    CHECK(error_of(ErrorKind::runtime, [&] { run.save_checkpoint(20, {}, "no json"); }) != "");
    run.save_checkpoint(1'000'000'001, {}, "[]");  // no tensors are fine
    CHECK(run.restore()->state == "[]");
}

TEST_CASE("checkpoints: any damage is found, and the older one takes over") {
    TemporaryFolder folder;
    {
        RunDirectory run = RunDirectory::create(folder / "r", "");
        for (std::int64_t step : {0, 5, 10}) {
            run.journal().append("step", step);
            save(run, step);
        }
    }
    for (const char* name : {"state.json", "state.safetensors"}) {
        const std::string path = (folder / "r/ckpt/step-000000010/") + name, good = read_text(path);
        const CheckpointStore store(folder / "r/ckpt");
        for (std::size_t n = 0; n < good.size(); n++) {
            std::string bad = good;
            bad[n] = static_cast<char>(bad[n] ^ 1);
            write_text(path, bad);
            CHECK_MESSAGE(error_of(ErrorKind::checkpoint, [&] { store.load(10); }) != "", name << " byte " << n);
            write_text(path, good.substr(0, n));
            CHECK_MESSAGE(error_of(ErrorKind::checkpoint, [&] { store.load(10); }) != "", name << " cut at " << n);
        }
        write_text(path, good + "x");
        CHECK(error_of(ErrorKind::checkpoint, [&] { store.load(10); }) != "");
        write_text(path, good);
        check_is(store.load(10), 10);
    }
    // A folder under another step's name is not that step.
    fs::copy(folder / "r/ckpt/step-000000005", folder / "r/ckpt/step-000000011");
    write_text(folder / "r/ckpt/step-000000010/state.safetensors", "");
    {
        RunDirectory run = RunDirectory::open(folder / "r");
        const std::optional<Checkpoint> c = run.restore();
        REQUIRE(c);
        check_is(*c, 5);
        CHECK(run.journal().size() == 2);
        CHECK(run.checkpoints().steps() == std::vector<std::int64_t>{0, 5});
        CHECK(fs::exists(folder / "r/ckpt/damaged-step-000000010"));
        CHECK(contains(read_text(folder / "r/log.txt"), "falling back"));
        save(run, 10);
        check_is(*run.restore(), 10);
    }
    for (const char* step : {"step-000000000", "step-000000005", "step-000000010"})
        fs::remove(folder / "r/ckpt/" + step + "/state.json");
    RunDirectory run = RunDirectory::open(folder / "r");
    for (int i = 0; i < 2; i++)  // a second try does not take the run for one that has not begun
        CHECK(contains(error_of(ErrorKind::checkpoint, [&] { run.restore(); }), "no checkpoint is whole"));
}

TEST_CASE("checkpoints: killed at any moment of writing, the run continues from a whole one") {
    TemporaryFolder folder;
    {
        RunDirectory run = RunDirectory::create(folder / "r", "");
        save(run, 0);
    }
    std::int64_t reached = 0;
    for (int round = 0; round < 20; round++) {
        int pipes[2];
        REQUIRE(pipe(pipes) == 0);
        const pid_t child = fork();
        if (child == 0) {
            RunDirectory run = RunDirectory::open(folder / "r");
            std::int64_t step = run.restore()->step;
            for (;;) {
                step++;
                run.journal().append("step", step);
                save(run, step);
                if (write(pipes[1], &step, sizeof step) < 0) _exit(1);
            }
        }
        close(pipes[1]);
        std::int64_t saved = 0;
        for (int i = 0; i < 3; i++) REQUIRE(read(pipes[0], &saved, sizeof saved) == sizeof saved);
        usleep(static_cast<useconds_t>(277 * round));
        kill(child, SIGKILL);
        CHECK(wait_for(child) == 1000 + SIGKILL);
        while (read(pipes[0], &saved, sizeof saved) == sizeof saved) {
        }
        close(pipes[0]);
        RunDirectory run = RunDirectory::open(folder / "r");
        const std::optional<Checkpoint> c = run.restore();
        REQUIRE(c);
        check_is(*c, c->step);
        CHECK(c->step >= saved);  // what was reported as saved is there
        CHECK(c->step > reached);
        CHECK(run.journal().size() == c->step);
        reached = c->step;
        for (const fs::directory_entry& e : fs::directory_iterator(folder / "r/ckpt")) {
            CHECK(!contains(e.path().filename().string(), "damaged"));
            CHECK(!contains(e.path().filename().string(), ".tmp-"));
        }
    }
}

TEST_CASE("checkpoints: a disk that takes no more leaves the older ones") {
    TemporaryFolder folder;
    RunDirectory run = RunDirectory::create(folder / "r", "");
    save(run, 0);
    save(run, 3);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{4096, 4096};
        setrlimit(RLIMIT_FSIZE, &limit);
        const std::vector<float> big(100'000);
        int code = 0;
        try {
            run.save_checkpoint(4, {safe_tensor("big", {100'000}, std::span(big))}, "{}");
        } catch (const Error& e) {
            code = e.exit_code();
        }
        _exit(code);
    }
    CHECK(wait_for(child) == 1);
    CHECK(run.checkpoints().steps() == std::vector<std::int64_t>{0, 3});
    CHECK(std::distance(fs::directory_iterator(folder / "r/ckpt"), fs::directory_iterator()) == 2);
}
