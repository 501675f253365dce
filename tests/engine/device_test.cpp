// The gpu as this build has it: the emulator's where there is no CUDA. Its kernels are tested elsewhere; here fills and
// copies stand for work.
#include "engine/streams/device.h"

#include <doctest/doctest.h>

#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/base/error.h"
#include "engine/memory/arena.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

std::vector<unsigned char> read(Device& device, const void* p, std::size_t bytes) {
    std::vector<unsigned char> host(bytes);
    device.copy_out(host.data(), p, bytes);
    return host;
}

[[maybe_unused]] sigjmp_buf fault;
[[maybe_unused]] void on_fault(int) { siglongjmp(fault, 1); }

}  // namespace

TEST_CASE("a gpu must be there or asked for") {
    const char* before = std::getenv("NASCENT_EMULATE");
    const std::string keep = before ? before : "";
    unsetenv("NASCENT_EMULATE");
    try {
        const auto device = make_device("gpu");
        CHECK(device->name().find("emulated") == std::string::npos);
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::device);
        CHECK(std::string(e.what()).find("NASCENT_EMULATE=1") != std::string::npos);
    }
    if (before) setenv("NASCENT_EMULATE", keep.c_str(), 1);
}

TEST_CASE("gpu memory is reserved, committed in order, zeroed and filled") {
    const auto device = testing::gpu_device();
    if (!device) return;
    constexpr std::size_t page = std::size_t{2} << 20;
    auto* base = static_cast<std::byte*>(device->reserve(4 * page));
    CHECK_THROWS_AS(device->commit(base + page, page), Error);
    device->commit(base, page);
    device->commit(base + page, page);
    for (unsigned char byte : read(*device, base + page - 8, 16)) CHECK(byte == 0);
    device->fill(base + 3, 0x7e, 5);
    const std::vector<unsigned char> got = read(*device, base, 10);
    for (std::size_t i = 0; i < got.size(); i++) CHECK(got[i] == (i >= 3 && i < 8 ? 0x7e : 0));
    device->release(base, 4 * page);
}

TEST_CASE("no bytes are filled and copied from and to anywhere") {  // what UBSan sees otherwise
    for (const bool on_gpu : {true, false}) {
        const auto device = on_gpu ? testing::gpu_device() : make_device("cpu", 1);
        if (!device) continue;
        CHECK_NOTHROW(device->fill(nullptr, 0, 0));
        CHECK_NOTHROW(device->copy_in(nullptr, nullptr, 0));
        CHECK_NOTHROW(device->copy_out(nullptr, nullptr, 0));
        CHECK_NOTHROW(device->synchronize());
    }
}

TEST_CASE("what is copied to the gpu may change at once, and what is pinned may not") {
    const auto device = testing::gpu_device();
    if (!device) return;
    Arena arena(*device, std::size_t{1} << 24, false);
    int value = 7;
    void* a = arena.allocate(sizeof(int));
    void* b = arena.allocate(sizeof(int));
    device->copy_in(a, &value, sizeof(value));
    value = 8;
    CHECK(read(*device, a, 1)[0] == 7);

    auto* pinned = static_cast<int*>(device->allocate_host(sizeof(int)));
    const auto transfers = device->make_transfer_stream();
    *pinned = 21;
    transfers->copy_in(b, pinned, sizeof(int));
    const auto arrived = transfers->record();
    device->wait(*arrived);  // what follows on the device's stream sees it
    CHECK(read(*device, b, 1)[0] == 21);
    // And the other way round: a transfer that waits until the device has read the old value.
    device->fill(a, 1, sizeof(int));
    const auto read_it = device->record();
    transfers->wait(*read_it);
    *pinned = 22;
    transfers->copy_in(a, pinned, sizeof(int));
    transfers->synchronize();
    CHECK(read(*device, a, 1)[0] == 22);
    device->free_host(pinned);
}

TEST_CASE("a captured graph does its work when launched and not before, any number of times") {
    const auto device = testing::gpu_device();
    if (!device) return;
    Arena arena(*device, std::size_t{1} << 24, false);
    void* p = arena.allocate(64);
    device->fill(p, 1, 64);
    CaptureScope capture(*device);
    device->fill(p, 2, 64);
    device->fill(p, 3, 32);
    const auto graph = capture.end();
    CHECK(graph->nodes() == 2);
    CHECK(read(*device, p, 64)[0] == 1);
    const std::int64_t before = device->launches();
    for (int i = 0; i < 2; i++) {
        device->fill(p, 9, 64);
        graph->launch();
        const auto got = read(*device, p, 64);
        CHECK(got[0] == 3);
        CHECK(got[63] == 2);
    }
    CHECK(device->launches() == before + 2);
}

TEST_CASE("a graph takes over another's arguments where it has the same nodes") {
    const auto device = testing::gpu_device();
    if (!device) return;
    Arena arena(*device, std::size_t{1} << 24, false);
    void* p = arena.allocate(64);
    auto captured = [&](int value, int times) {
        CaptureScope capture(*device);
        for (int i = 0; i < times; i++) device->fill(p, value, 64);
        return capture.end();
    };
    const auto graph = captured(4, 1);
    const auto same = captured(5, 1), longer = captured(6, 2);
    CHECK(!graph->update(*longer));
    CHECK(graph->update(*same));
    graph->launch();
    CHECK(read(*device, p, 1)[0] == 5);
}

TEST_CASE("inside a capture nothing is allocated, copied or waited for, and the device goes on after it") {
    const auto device = testing::gpu_device();
    if (!device) return;
    Arena arena(*device, std::size_t{1} << 24, false);
    int value = 1;
    void* p = arena.allocate(64);
    {
        CaptureScope capture(*device);
        CHECK_THROWS_WITH_AS(arena.allocate(std::size_t{8} << 20), doctest::Contains("inside a capture"), Error);
        CHECK_THROWS_AS(device->copy_in(p, &value, sizeof(value)), Error);
        CHECK_THROWS_AS(device->copy_out(&value, p, sizeof(value)), Error);
        CHECK_THROWS_AS(device->synchronize(), Error);
        CHECK_THROWS_AS(device->begin_capture(), Error);
    }
    CHECK(!device->capturing());
    arena.allocate(std::size_t{8} << 20);
    device->synchronize();
    CHECK_THROWS_AS(make_device("cpu", 1)->begin_capture(), Error);
}

TEST_CASE("the host cannot touch an emulated device's memory") {
    const auto device = testing::gpu_device();
    if (!device || device->name() != "gpu (emulated)") return;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    MESSAGE("not under sanitizers, which have handlers of their own");
#else
    Arena arena(*device, std::size_t{1} << 24, false);
    auto* p = static_cast<volatile int*>(arena.allocate(64));
    device->synchronize();
    volatile bool faulted = true;  // volatile: it is set between sigsetjmp and siglongjmp
    const auto before = std::signal(SIGSEGV, on_fault);
    if (sigsetjmp(fault, 1) == 0) {
        (void)*p;
        faulted = false;
    }
    std::signal(SIGSEGV, before);
    CHECK(faulted);
#endif
}
