// Every kernel that is wrong on purpose is noticed: by the emulator, by NaN or a result that depends on the order of
// the threads, or by the sanitizer that the program is built with.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "kernels/simt/emulator.h"
#include "tests/simt/kernels.h"

namespace nascent::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int kBuild = 1;
#elif defined(__SANITIZE_THREAD__)
constexpr int kBuild = 2;
#else
constexpr int kBuild = 0;
#endif
constexpr int kSize = 128;

/// What must be in the output of the kernel's process, in a build that is plain, for memory errors, for races. Null:
/// this build need not see it.
struct Expected {
    const char* name;
    const char* says[3];
};
const char *const kNan = "[NaN]", *const kOrder = "[order]", *const kRace = "data race";
const Expected kExpected[] = {
    {"missing_barrier", {kNan, kNan, kRace}},
    {"missing_second_barrier", {kOrder, kOrder, kRace}},
    {"warp_synchronous", {kOrder, kOrder, kRace}},
    {"uninitialised_shared", {kNan, kNan, kNan}},
    {"shared_overrun",
     {"shared memory beside the dynamic shared memory was written", "AddressSanitizer: use-after-poison",
      "was written"}},
    {"shared_index", {"[signal 4]", "index 64 out of bounds", nullptr}},
    {"global_overrun", {nullptr, "AddressSanitizer: heap-buffer-overflow", nullptr}},
    {"global_race", {kOrder, kOrder, kRace}},
    {"race_between_blocks", {kOrder, kOrder, kRace}},
    {"misaligned_vector",
     {"address is no multiple of 16: thread (0,0,0) is at wrong.cu:", "no multiple of 16", "no multiple of 16"}},
    {"misaligned_cast", {"[signal 4]", "misaligned address", nullptr}},
    {"divergent_barrier",
     {"(__syncthreads), thread (32,0,0) has returned in block (0,0,0)", "has returned", "has returned"}},
    {"two_barriers", {"divergent barrier: thread (32,0,0) is at wrong.cu:", "divergent barrier", "divergent barrier"}},
    {"exit_before_barrier", {"thread (63,0,0) has returned", "has returned", "has returned"}},
    {"barrier_and_shuffle",
     {"divergent barrier: thread (40,0,0) is at wrong.cu:", "thread (31,0,0) has returned", "(__syncthreads)"}},
    {"shuffle_outside_mask",
     {"lane 20 is read but not in the mask: thread (0,0,0) is at wrong.cu:", "lane 20", "lane 20"}},
    {"lane_outside_mask", {"lane not in its own mask: thread (16,0,0) is at wrong.cu:", "lane not in", "lane not in"}},
    {"shuffle_in_branch",
     {"deadlock: thread (0,0,0) is at wrong.cu:", "(__shfl_xor_sync mask 0xffffffff), thread (16,0,0) has returned",
      "deadlock"}},
    {"masks_disagree",
     {"divergent collectives: thread (5,0,0) is at wrong.cu:", "mask 0x000000ff)", "mask 0x0000ffff)"}},
    {"missing_wait", {kNan, kNan, kNan}},
    {"missing_commit", {kNan, kNan, kNan}},
    {"wait_for_older", {kNan, kNan, kNan}},
    {"wait_without_barrier", {kNan, kNan, kRace}},
    {"copy_misaligned", {"no multiple of 16: thread (0,0,0) is at wrong.cu:", "(cp_async from)", "(cp_async from)"}},
    {"copy_not_to_shared", {"not in shared memory: thread (0,0,0) is at wrong.cu:", "(cp_async to)", "(cp_async to)"}},
    {"copy_past_shared", {"not in shared memory: thread (16,0,0) is at wrong.cu:", "(cp_async to)", "(cp_async to)"}},
    {"too_much_static_shared",
     {"too much shared memory: 56000 bytes with t, allowed are 49152", "too much", "too much"}},
    {"missing_fences", {nullptr, nullptr, kRace}},
    {"missing_fence_before", {nullptr, nullptr, kRace}},
    {"missing_fence_behind", {nullptr, nullptr, kRace}},
    {"fences_without_barrier", {nullptr, nullptr, kRace}},
    {"runaway_stack", {"[signal 11]", "[signal 11]", "[signal 11]"}},
};

const char* const kVariable = "NASCENT_TEST_WRONG_KERNEL";

/// Runs the kernel in the three orders and says on stderr what is odd.
void run(const Wrong& kernel) {
    auto say = [](const char* text) { (void)!write(2, text, std::strlen(text)); };
    try {
        std::unique_ptr<float[]> in(new float[kSize]), first(new float[kSize]);
        for (int i = 0; i < kSize; i++) in[i] = 1.0f / static_cast<float>(i + 3);
        for (auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
            simt::set_order(order, 1);
            std::unique_ptr<float[]> out(new float[kSize]());
            kernel.launch(in.get(), out.get());
            for (int i = 0; i < kSize; i++)
                if (std::isnan(out[i])) {
                    say("[NaN]");
                    break;
                }
            if (order == simt::Order::forward)
                first.swap(out);
            else if (std::memcmp(first.get(), out.get(), kSize * sizeof(float)) != 0)
                say("[order]");
        }
    } catch (const simt::Error& e) {
        say(e.what());
    }
}

/// What a process of its own says that runs the kernel. (Not a fork alone: ThreadSanitizer takes fibers for threads,
/// and sees nothing after a fork of a process that has several.)
std::string output(const Wrong& kernel) {
    char path[4096] = {};
    REQUIRE(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
    setenv(kVariable, kernel.name, 1);
    const std::string command =
        std::string("exec '") + path + "' --no-skip --test-case='one wrong kernel' 2>&1 >/dev/null";
    FILE* pipe = popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string text;
    char buffer[4096];
    for (std::size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) text.append(buffer, n);
    const int status = pclose(pipe);
    if (WIFSIGNALED(status)) text += "[signal " + std::to_string(WTERMSIG(status)) + "]";
    return text;
}

TEST_CASE("one wrong kernel" * doctest::skip()) {  // what `output` starts
    const char* name = std::getenv(kVariable);
    if (!name) return;
    for (int s : {SIGSEGV, SIGILL, SIGABRT, SIGBUS}) std::signal(s, SIG_DFL);  // doctest's handlers would tell a tale
    for (const Wrong& kernel : wrong_kernels())
        if (std::strcmp(kernel.name, name) == 0) run(kernel);
    _exit(0);
}

TEST_CASE("kernels that are wrong on purpose are noticed") {
    int seen = 0;
    for (const Wrong& kernel : wrong_kernels()) {
        INFO(std::string(kernel.name));
        const std::string text = output(kernel);
        CAPTURE(text);
        if (std::strncmp(kernel.name, "right", 5) == 0) {
            CHECK(text.empty());
            continue;
        }
        const Expected* expected = nullptr;
        for (const Expected& e : kExpected)
            if (std::strcmp(e.name, kernel.name) == 0) expected = &e;
        REQUIRE(expected != nullptr);
        seen++;
        const char* says = expected->says[kBuild];
        if (says) CHECK(text.find(says) != std::string::npos);
    }
    CHECK(seen == std::size(kExpected));
}

TEST_CASE("a launch after one that failed finds the emulator in order") {
    float in[kSize] = {}, out[kSize] = {};
    in[5] = 3;
    for (const Wrong& kernel : wrong_kernels())
        if (std::strcmp(kernel.name, "shuffle_in_branch") == 0) CHECK_THROWS_AS(kernel.launch(in, out), simt::Error);
    wrong_kernels()[0].launch(in, out);
    CHECK(out[63 - 5] == 3);
}

}  // namespace
}  // namespace nascent::test
