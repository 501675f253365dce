#include "nas/run/run_directory.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/base/error.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using test::read_text;
using test::TemporaryFolder;
using test::write_text;
namespace fs = std::filesystem;

namespace {

template <class F>
std::string message(ErrorKind kind, F&& f) {
    try {
        f();
    } catch (const Error& e) {
        CHECK(e.kind() == kind);
        return e.what();
    }
    return "no error";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A checkpoint whose content tells its step.
void save(RunDirectory& run, std::int64_t step) {
    const std::array<float, 3> w = {static_cast<float>(step), 2, 3};
    run.save_checkpoint(step, {safe_tensor("w", {3}, std::span(w))}, fmt::format("{{\"cursor\":{}}}", step));
}

void check_is(const Checkpoint& c, std::int64_t step) {
    CHECK(c.step == step);
    std::array<float, 3> w{};
    c.tensors.copy("w", std::span(w));
    CHECK(w[0] == static_cast<float>(step));
    CHECK(c.state == fmt::format("{{\"cursor\":{}}}", step));
}

/// The journal without its times.
std::string journal_of(const std::string& path) {
    std::string all;
    std::istringstream lines(read_text(path));
    for (std::string line; std::getline(lines, line);) {
        nlohmann::ordered_json record = nlohmann::ordered_json::parse(line);
        record.erase("t");
        all += record.dump() + "\n";
    }
    return all;
}

int wait_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

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
    CHECK(contains(message(ErrorKind::usage, [&] { RunDirectory::create(path, "x = 2\n"); }), "resume " + path));
    CHECK(read_text(path + "/run.toml") == "x = 1\n");
    CHECK(RunDirectory::open(path).path() == path);
    write_text(folder / "foreign", "x");
    CHECK(contains(message(ErrorKind::usage, [&] { RunDirectory::create(folder.path(), ""); }), "not empty"));
    CHECK(contains(message(ErrorKind::usage, [&] { RunDirectory::create(folder / "foreign", ""); }), "not a folder"));
    CHECK(contains(message(ErrorKind::usage, [&] { RunDirectory::create("", ""); }), "--out"));
    CHECK(contains(message(ErrorKind::runtime, [&] { RunDirectory::create(folder / "foreign/x", ""); }),
                   "cannot make the folder"));
    CHECK(contains(message(ErrorKind::usage, [&] { RunDirectory::open(folder / "absent"); }), "no run"));
    fs::create_directory(folder / "empty");
    CHECK(contains(message(ErrorKind::usage, [&] { RunDirectory::open(folder / "empty"); }), "no run.toml"));
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
    CHECK(contains(message(ErrorKind::usage, [&] { RunLock second(path); }),
                   fmt::format("in use by process {} on host", child)));
    kill(child, SIGKILL);
    CHECK(wait_for(child) == 1000 + SIGKILL);
    {
        RunLock lock(path);
        CHECK(contains(lock.note(), fmt::format("took over the lock of process {} on host", child)));
        CHECK(contains(message(ErrorKind::usage, [&] { RunLock again(path); }), fmt::format("process {}", getpid())));
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

TEST_CASE("journal: records are numbered lines of JSON") {
    TemporaryFolder folder;
    {
        Journal journal(folder / "j");
        journal.append("start", 0);
        journal.append("epoch", 10, JsonObject().add("loss", 2.5).add("arch", "a\nb"));
        CHECK_THROWS_AS(journal.append("epoch", 9), Error);
        CHECK(journal.size() == 2);
    }
    CHECK(journal_of(folder / "j") ==
          "{\"v\":1,\"seq\":0,\"kind\":\"start\",\"step\":0}\n"
          "{\"v\":1,\"seq\":1,\"kind\":\"epoch\",\"step\":10,\"loss\":2.5,\"arch\":\"a\\nb\"}\n");
    Journal again(folder / "j");
    CHECK(again.size() == 2);
    CHECK(again.warning() == "");
    CHECK_THROWS_AS(again.append("epoch", 9), Error);  // steps go on where they were
    again.append("end", 10);
    CHECK(contains(journal_of(folder / "j"), "{\"v\":1,\"seq\":2,\"kind\":\"end\",\"step\":10}\n"));
}

TEST_CASE("journal: torn anywhere, it opens with the whole records and keeps the rest aside") {
    TemporaryFolder folder;
    {
        Journal journal(folder / "j");
        for (int i = 0; i < 3; i++) journal.append("epoch", i, JsonObject().add("x", i));
    }
    const std::string whole = read_text(folder / "j");
    for (std::size_t n = 0; n <= whole.size(); n++) {
        const std::string path = folder / fmt::format("cut{}", n);
        write_text(path, whole.substr(0, n));
        const auto lines = std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n), '\n');
        const bool torn = n > 0 && whole[n - 1] != '\n';
        Journal journal(path);
        CHECK(journal.size() == lines);
        CHECK(journal.warning().empty() == !torn);
        journal.append("next", 5);
        CHECK(Journal(path).size() == lines + 1);
        if (torn)
            CHECK(whole.substr(0, n) ==
                  whole.substr(0, n - read_text(path + ".damaged").size()) + read_text(path + ".damaged"));
    }
    // Damage in the middle: what follows cannot be trusted to be in order.
    std::string damaged = whole;
    damaged[damaged.find("\"seq\":1") + 6] = '7';
    write_text(folder / "mid", damaged);
    CHECK(Journal(folder / "mid").size() == 1);
    write_text(folder / "zeros", whole + std::string(100, '\0'));
    CHECK(Journal(folder / "zeros").size() == 3);
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
    CHECK(message(ErrorKind::checkpoint, [&] { run.checkpoints().load(7); }) != "no error");
    CHECK(message(ErrorKind::runtime, [&] { run.save_checkpoint(20, {}, "no json"); }) != "no error");
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
            CHECK_MESSAGE(message(ErrorKind::checkpoint, [&] { store.load(10); }) != "no error", name << " byte " << n);
            write_text(path, good.substr(0, n));
            CHECK_MESSAGE(message(ErrorKind::checkpoint, [&] { store.load(10); }) != "no error",
                          name << " cut at " << n);
        }
        write_text(path, good + "x");
        CHECK(message(ErrorKind::checkpoint, [&] { store.load(10); }) != "no error");
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
        CHECK(contains(message(ErrorKind::checkpoint, [&] { run.restore(); }), "no checkpoint is whole"));
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
