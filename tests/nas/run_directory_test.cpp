#include "nas/run/run_directory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>

#include "tests/nas/run_testing.h"

using namespace nascent;
using namespace nascent::test;
namespace fs = std::filesystem;

TEST_CASE("run directory: a new one has its files, a second one does not overwrite it") {
    TemporaryFolder folder;
    const std::string path = folder / "runs/a";
    {
        RunDirectory run = RunDirectory::create(path + "/", "x = 1\n");
        CHECK(run.path() == path);
        CHECK(read_text(run.config_path()) == "x = 1\n");
        for (const char* name : {"LOCK", "events.jsonl", "log.txt", "ckpt", "export"})
            CHECK(fs::exists(path + "/" + name));
        CHECK(!run.restore());
    }
    CHECK(contains(error_of(ErrorKind::usage, [&] { RunDirectory::create(path, "x = 2\n"); }), "resume " + path));
    CHECK(read_text(path + "/run.toml") == "x = 1\n");
    CHECK(RunDirectory::open(path).path() == path);
    write_text(folder / "foreign", "x");
    CHECK(contains(error_of(ErrorKind::usage, [&] { RunDirectory::create(folder.path(), ""); }), "not empty"));
    CHECK(contains(error_of(ErrorKind::usage, [&] { RunDirectory::create(folder / "foreign", ""); }), "not a folder"));
    CHECK(contains(error_of(ErrorKind::usage, [&] { RunDirectory::create("", ""); }), "--out"));
    CHECK(contains(error_of(ErrorKind::runtime, [&] { RunDirectory::create(folder / "foreign/x", ""); }),
                   "cannot make the folder"));
    CHECK(contains(error_of(ErrorKind::usage, [&] { RunDirectory::open(folder / "absent"); }), "no run"));
    fs::create_directory(folder / "empty");
    CHECK(contains(error_of(ErrorKind::usage, [&] { RunDirectory::open(folder / "empty"); }), "no run.toml"));
    CHECK(RunDirectory::create(folder / "empty", "").path() == folder / "empty");
}

TEST_CASE("run directory: what a process killed while creating left is no obstacle") {
    TemporaryFolder folder;
    fs::create_directories(folder / "r/ckpt");
    write_text(folder / "r/LOCK", "{\"pid\":1,\"host\":\"h\"}");
    write_text(folder / "r/events.jsonl", "");
    write_text(folder / "r/run.toml.tmp-1-0", "hal");
    CHECK(RunDirectory::create(folder / "r", "y = 1\n").path() == folder / "r");
    CHECK(read_text(folder / "r/run.toml") == "y = 1\n");
}

TEST_CASE("run directory: files that a run cannot do without are there before it is a run") {
    TemporaryFolder folder;
    fs::create_directories(folder / "r/export");
    write_text(folder / "r/export/space.json", "of one that was killed");
    RunDirectory::create(folder / "s", "", {{"space.json", "{}"}});
    CHECK(read_text(folder / "s/export/space.json") == "{}");
    RunDirectory::create(folder / "r", "", {{"space.json", "{}"}});
    CHECK(read_text(folder / "r/export/space.json") == "{}");
    // A name that cannot be written stops create() before there is a run.toml.
    error_of(ErrorKind::runtime, [&] { RunDirectory::create(folder / "t", "", {{"no/such/folder", ""}}); });
    CHECK(!fs::exists(folder / "t/run.toml"));
}

TEST_CASE("run directory: a run that could not begin leaves nothing, what a process killed left in a run goes") {
    TemporaryFolder folder;
    fs::create_directory(folder / "mine");
    for (const char* name : {"new", "mine"}) {
        RunDirectory run = RunDirectory::create(folder / name, "x = 1\n");
        save(run, 0);
        run.discard();
        CHECK(fs::exists(folder / name) == (std::string(name) == "mine"));
    }
    CHECK(fs::is_empty(folder / "mine"));
    CHECK(RunDirectory::create(folder / "new", "y = 1\n").path() == folder / "new");
    const std::string half = folder / "new/export/final.safetensors.tmp-1-0";
    write_text(half, "hal");
    CHECK(RunDirectory::open(folder / "new").path() == folder / "new");
    CHECK(!fs::exists(half));
}

TEST_CASE("run lock: one process at a time, the dead are followed with a note") {
    TemporaryFolder folder;
    const std::string path = folder / "LOCK";
    int ready[2], go[2];
    REQUIRE(pipe(ready) == 0);
    REQUIRE(pipe(go) == 0);
    const pid_t child = fork();
    if (child == 0) {
        RunLock lock(path);
        char c = 'x';
        if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) < 0) _exit(1);
        _exit(2);  // not reached: killed while it holds the lock
    }
    char c = 0;
    REQUIRE(read(ready[0], &c, 1) == 1);
    CHECK(contains(error_of(ErrorKind::usage, [&] { RunLock second(path); }),
                   fmt::format("in use by process {} on host", child)));
    kill(child, SIGKILL);
    CHECK(wait_for(child) == 1000 + SIGKILL);
    {
        RunLock lock(path);
        CHECK(contains(lock.note(), fmt::format("took over the lock of process {} on host", child)));
        CHECK(contains(error_of(ErrorKind::usage, [&] { RunLock again(path); }), fmt::format("process {}", getpid())));
    }
    CHECK(RunLock(path).note() == "");
    write_text(path, "rubbish");
    CHECK(contains(RunLock(path).note(), "an unnamed process"));
    for (int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
}

TEST_CASE("run directory: in use by another process is a usage error") {
    TemporaryFolder folder;
    RunDirectory run = RunDirectory::create(folder / "r", "");
    const pid_t child = fork();
    if (child == 0) {
        int code = 0;
        try {
            RunDirectory::open(folder / "r");
        } catch (const Error& e) {
            code = e.exit_code();
        }
        _exit(code);
    }
    CHECK(wait_for(child) == 2);
}

TEST_CASE("run directory: interrupted and continued, the journal is that of a run that was not") {
    TemporaryFolder folder;
    const auto work = [](RunDirectory& run, std::int64_t from, std::int64_t to) {
        for (std::int64_t step = from + 1; step <= to; step++) {
            run.journal().append("step", step, JsonObject().add("loss", 1.0 / static_cast<double>(step)));
            if (step % 4 == 0) save(run, step);
        }
    };
    {
        RunDirectory run = RunDirectory::create(folder / "whole", "");
        save(run, 0);
        work(run, 0, 10);
    }
    {
        RunDirectory run = RunDirectory::create(folder / "cut", "");
        save(run, 0);
        work(run, 0, 7);  // and dies: the last checkpoint is that of step 4
    }
    {
        RunDirectory run = RunDirectory::open(folder / "cut");
        const std::optional<Checkpoint> c = run.restore();
        REQUIRE(c);
        check_is(*c, 4);
        CHECK(c->journal_size == 4);
        work(run, c->step, 10);
    }
    CHECK(journal_of(folder / "cut/events.jsonl") == journal_of(folder / "whole/events.jsonl"));
    const std::string undone = journal_of(folder / "cut/events.undone.jsonl");
    CHECK(std::count(undone.begin(), undone.end(), '\n') == 3);
    CHECK(contains(undone, "\"step\":7"));
}
