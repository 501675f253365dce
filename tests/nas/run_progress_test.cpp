#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <vector>

#include "nas/run/interrupt.h"
#include "nas/run/progress.h"
#include "nas/run/run_directory.h"
#include "tests/temporary_folder.h"

using namespace nascent;

namespace {

/// A loop of 64 images every 0.5 s, a tenth of it waiting, on a clock that the test turns.
struct Loop {
    double now = 1000;
    std::vector<std::string> out;
    ProgressState state;
    Progress::Options options(bool terminal, double seconds) {
        Progress::Options o;
        o.terminal = terminal;
        o.seconds = seconds;
        o.clock = [this] { return now; };
        o.write = [this](const std::string& text) { out.push_back(text); };
        return o;
    }
    void start() {
        state.phase = "train";
        state.steps = 1000;
        state.epoch = 1, state.epochs = 2;
        state.loss = 2.30259;
    }
    void step(Progress& progress, double seconds = 0.5) {
        now += seconds;
        state.step++, state.images += 64, state.data_wait += seconds / 10;
        progress.update(state);
    }
};

int wait_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("progress: the line says speed, time left, loss and the share of waiting") {
    Loop loop;
    loop.start();
    Progress progress(loop.options(false, 30));
    progress.update(loop.state);
    for (int i = 0; i < 60; i++) loop.step(progress);
    REQUIRE(loop.out.size() == 1);
    // 940 steps of half a second are left.
    CHECK(loop.out[0] == "train epoch 1/2 step 60/1000  128 images/s  ETA 7:50  loss 2.3026  data wait 10 %\n");
}

TEST_CASE("progress: without a terminal one line per interval") {
    Loop loop;
    loop.start();
    {
        Progress progress(loop.options(false, 30));
        progress.update(loop.state);
        for (int i = 0; i < 200; i++) loop.step(progress);
        CHECK(loop.out.size() == 3);  // after 30, 60 and 90 of 100 seconds
        progress.finish();
        CHECK(loop.out.size() == 4);
        CHECK(loop.out[3].find("step 200/1000") != std::string::npos);
        progress.finish();
    }
    CHECK(loop.out.size() == 4);
    for (const std::string& line : loop.out) CHECK(line.find_first_of("\r\x1b") == std::string::npos);
}

TEST_CASE("progress: a terminal is redrawn at most ten times a second, and the line is ended") {
    test::TemporaryFolder folder;
    RunLog log(folder / "log.txt");
    Loop loop;
    loop.start();
    {
        Progress::Options options = loop.options(true, 30);
        options.log = &log;
        Progress progress(options);
        progress.update(loop.state);
        for (int i = 0; i < 3100; i++) loop.step(progress, 0.01);
        CHECK(loop.out.size() >= 250);
        CHECK(loop.out.size() <= 310);
        CHECK(loop.out.back()[0] == '\r');
    }
    CHECK(loop.out.back() == "\n");
    const std::string text = test::read_text(folder / "log.txt");
    CHECK(text.find("images/s") != std::string::npos);
    CHECK(text.find_first_of("\r\x1b") == std::string::npos);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("progress: a line is cut to the terminal's width, a log's is not") {
    test::TemporaryFolder folder;
    RunLog log(folder / "log.txt");
    Loop loop;
    loop.start();
    int columns = 40;
    Progress::Options options = loop.options(true, 0.1);
    options.log = &log;
    options.columns = [&] { return columns; };
    Progress progress(options);
    progress.update(loop.state);
    loop.step(progress);
    CHECK(loop.out.back() == "\rtrain epoch 1/2 step 1/1000  128 images\x1b[K");  // 39 characters
    columns = 0;
    loop.step(progress);
    CHECK(loop.out.back() ==
          "\rtrain epoch 1/2 step 2/1000  128 images/s  ETA 8:19  loss 2.3026  data wait 10 %\x1b[K");
    CHECK(test::read_text(folder / "log.txt").find("data wait") != std::string::npos);
}

TEST_CASE("progress: the speed follows a change within some seconds and never divides by nothing") {
    ProgressRate rate;
    ProgressState state;
    state.loss = std::nan("");
    CHECK(rate.images_per_second() == 0);
    CHECK(format_progress(state, rate).find("ETA") == std::string::npos);
    CHECK(format_progress(state, rate).find("loss") == std::string::npos);
    double now = 0;
    rate.update(now, state);
    rate.update(now, state);
    CHECK(rate.wait_share() == 0);
    const auto run = [&](int seconds, int images) {
        for (int i = 0; i < seconds; i++) {
            state.images += images;
            state.step++;
            rate.update(++now, state);
        }
    };
    run(100, 1000);
    CHECK(rate.images_per_second() == doctest::Approx(1000));
    run(10, 500);
    // After one memory time 1/e of the old speed is left.
    CHECK(rate.images_per_second() == doctest::Approx(500 + 500 * std::exp(-1.0)).epsilon(0.01));
}

TEST_CASE("progress: durations") {
    CHECK(format_duration(-3) == "0:00");
    CHECK(format_duration(7.4) == "0:07");
    CHECK(format_duration(754) == "12:34");
    CHECK(format_duration(3723) == "1:02:03");
    CHECK(format_duration(3 * 86400 + 14706) == "3 d 04:05:06");
}

TEST_CASE("interrupt: SIGTERM and SIGINT set the flag, a second SIGINT ends with 130") {
    for (int signal : {SIGTERM, SIGINT}) {
        const pid_t child = fork();
        if (child == 0) {
            if (freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
            InterruptGuard guard;
            if (InterruptGuard::requested()) _exit(1);
            raise(SIGPIPE);
            if (InterruptGuard::requested()) _exit(1);
            raise(signal);
            _exit(InterruptGuard::requested() ? 75 : 2);
        }
        CHECK(wait_for(child) == 75);
    }
    const pid_t twice = fork();
    if (twice == 0) {
        if (freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
        InterruptGuard guard;
        for (int signal : {SIGTERM, SIGTERM, SIGINT, SIGINT}) {  // a scheduler may repeat itself
            raise(signal);
            usleep(1000);  // ThreadSanitizer delivers signals, once each, at the next call that may block
        }
        _exit(3);
    }
    CHECK(wait_for(twice) == 130);
    const pid_t after = fork();
    if (after == 0) {
        std::signal(SIGTERM, SIG_DFL);
        { InterruptGuard guard; }
        raise(SIGTERM);
        _exit(4);
    }
    CHECK(wait_for(after) == 1000 + SIGTERM);
}
