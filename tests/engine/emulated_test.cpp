// What only the emulated gpu can show: sanitizers see through it what kernels do wrong in device memory. Not part of a
// build with CUDA.
#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/base/error.h"
#include "engine/memory/arena.h"
#include "kernels/simt/emulator.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

const char* const kVariable = "NASCENT_TEST_DEVICE_KERNEL";

/// What a process of its own says that runs the kernel below.
std::string output(const std::string& what) {
    std::array<char, 4096> path{};
    REQUIRE(readlink("/proc/self/exe", path.data(), path.size() - 1) > 0);
    setenv(kVariable, what.c_str(), 1);
    const std::string command =
        std::string("exec '") + path.data() + "' --no-skip --test-case='one kernel on a device' 2>&1 >/dev/null";
    FILE* pipe = popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string text;
    std::array<char, 4096> buffer;
    for (std::size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), n);
    pclose(pipe);
    return text;
}

}  // namespace

TEST_CASE("one kernel on a device" * doctest::skip()) {  // what `output` starts
    const char* name = std::getenv(kVariable);
    if (!name) return;
    const std::string what = name;
    const auto device = testing::gpu_device();
    auto* stream = static_cast<simt::stream_t>(device->stream());
    Arena arena(*device, std::size_t{1} << 24, true);
    auto* in = static_cast<float*>(arena.allocate(64 * sizeof(float)));
    auto* out = static_cast<float*>(arena.allocate(64 * sizeof(float)));
    device->fill(in, 0, 64 * sizeof(float));
    if (what == "given back") arena.reset();
    const int shift = what == "red zone" ? 1 : 0, places = what == "race" ? 63 : 64;
    void (*kernel)(const float*, int, int, float*) = [](const float* x, int from, int size, float* y) {
        const int t = static_cast<int>(threadIdx.x);
        y[t % size] = x[t + from];
    };
    simt::launch(kernel, {1, 64, 0, stream}, in, shift, places, out);
    device->synchronize();
}

TEST_CASE("sanitizers see what a kernel does wrong in device memory") {
    CHECK(output("right") == "");
#if defined(__SANITIZE_ADDRESS__)
    CHECK(output("red zone").find("AddressSanitizer: use-after-poison") != std::string::npos);
    CHECK(output("given back").find("AddressSanitizer: use-after-poison") != std::string::npos);
#elif NASCENT_KERNEL_RACES
    CHECK(output("race").find("ThreadSanitizer: data race") != std::string::npos);
#else
    MESSAGE("not a build with AddressSanitizer, nor with ThreadSanitizer in kernels");
#endif
}

TEST_CASE("an emulated gpu counts launches and works as late as events allow and not at all behind an error") {
    const auto device = testing::gpu_device();
    auto* stream = static_cast<simt::stream_t>(device->stream());
    const auto transfers = device->make_transfer_stream();
    const std::int64_t before = device->launches();
    int done = 0;
    stream->submit([&] { done += 1; });
    const auto first = device->record();
    stream->submit([&] { done += 10; });
    CHECK(device->launches() == before + 2);
    CHECK(done == 0);
    transfers->wait(*first);
    transfers->synchronize();
    CHECK(done == 1);
    stream->submit([] { throw simt::Error("a wrong kernel"); });
    stream->submit([&] { done += 100; });
    const auto behind = device->record();
    CHECK_THROWS_WITH_AS(device->synchronize(), doctest::Contains("a wrong kernel"), Error);
    CHECK(done == 11);
    stream->submit([&] { done += 1000; });
    transfers->wait(*behind);  // of which nothing is left
    transfers->synchronize();
    CHECK(done == 11);
    device->synchronize();
    CHECK(done == 1011);
}
