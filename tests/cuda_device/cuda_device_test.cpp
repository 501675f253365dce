// engine/streams/cuda_device.cpp on a CUDA whose memory is the host's (fake_cuda.h). tests/engine/device_test.cpp,
// which is part of this program too, has what all gpus do.
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "engine/base/error.h"
#include "engine/streams/device.h"
#include "tests/cuda_device/fake_cuda.h"
#include "tests/texts.h"

using namespace nascent;
using fake_cuda::state;
using test::contains;
using test::error_of;

namespace {

constexpr std::size_t kPage = std::size_t{2} << 20;

/// A new fake; at the end everything must have been given back, and nothing have been asked for that CUDA refuses.
struct Fake {
    Fake() { fake_cuda::state() = {}; }
    ~Fake() {
        CHECK(state().held() == 0);
        CHECK(state().memory == fake_cuda::State{}.memory);
        CHECK(state().wrong == 0);
        CHECK(state().failures.empty());
    }
};

std::vector<unsigned char> read(Device& device, const void* p, std::size_t bytes) {
    std::vector<unsigned char> host(bytes);
    device.copy_out(host.data(), p, bytes);
    return host;
}

}  // namespace

TEST_CASE("cuda: a machine without a gpu, and one whose driver is too old") {
    const Fake fake;
    state().devices = 0;
    CHECK(contains(error_of(ErrorKind::device, [] { make_gpu_device(); }), "no GPU can be used (there is none)"));
    state().failures["cudaGetDeviceCount"] = cudaErrorInsufficientDriver;
    CHECK(contains(error_of(ErrorKind::device, [] { make_gpu_device(); }), "runtime's error 35"));
    state().devices = 1;
    state().unknown.insert("cuMemMap");
    CHECK(error_of(ErrorKind::device, [] { make_gpu_device(); }) == "gpu: the driver has no cuMemMap; it is too old");
    state().unknown.clear();
    const auto device = make_gpu_device();
    CHECK(device->name() == "gpu (a fake)");
    CHECK(device->kind() == DeviceKind::gpu);
    CHECK(device->can_capture());
    CHECK(state().streams == 1);
}

TEST_CASE("cuda: what the runtime refuses is an error of the run, but for want of memory one of the device") {
    const Fake fake;
    const auto device = make_gpu_device();
    state().failures["cudaHostAlloc"] = cudaErrorMemoryAllocation;
    CHECK(error_of(ErrorKind::device, [&] { device->allocate_host(8); }) == "gpu: pinned memory: runtime's error 2");
    state().failures["cudaHostAlloc"] = cudaErrorInvalidValue;
    CHECK(error_of(ErrorKind::runtime, [&] { device->allocate_host(8); }) == "gpu: pinned memory: runtime's error 1");
    state().failures["cudaStreamSynchronize"] = cudaErrorIllegalAddress;
    CHECK(error_of(ErrorKind::runtime, [&] { device->synchronize(); }) == "gpu: a kernel: runtime's error 700");
    device->synchronize();
    void* host = device->allocate_host(8);
    CHECK(state().pinned == 1);
    device->free_host(host);
}

TEST_CASE("cuda: reservations grow in order, are zeroed, and are released piece by piece as they were mapped") {
    const Fake fake;
    const auto device = make_gpu_device();
    // Two whose pieces are of other sizes, and in turn.
    auto* const a = static_cast<std::byte*>(device->reserve(8 * kPage));
    auto* const b = static_cast<std::byte*>(device->reserve(4 * kPage));
    CHECK(error_of(ErrorKind::runtime, [&] { device->commit(nullptr, kPage); }) == "commit outside a reservation");
    CHECK(error_of(ErrorKind::runtime, [&] { device->commit(a + kPage, kPage); }) ==
          "memory is committed in ascending order");
    device->commit(a, kPage);
    device->commit(b, 3 * kPage);
    device->commit(a + kPage, 4 * kPage);
    CHECK_THROWS_AS(device->commit(a + kPage, kPage), Error);
    device->commit(a + 5 * kPage, 2 * kPage);
    CHECK(state().mapped == 4);
    CHECK(state().allocated == 4);
    CHECK(state().memory == fake_cuda::State{}.memory - 10 * kPage);
    const auto all = read(*device, a, 7 * kPage);
    CHECK(std::memcmp(all.data(), std::vector<unsigned char>(all.size()).data(), all.size()) == 0);
    device->fill(a + 5 * kPage - 1, 7, 2);
    CHECK(read(*device, a + 5 * kPage - 2, 4) == std::vector<unsigned char>{0, 7, 7, 0});

    int other = 0;
    device->release(&other, kPage);         // nobody's
    device->release(a + kPage, 7 * kPage);  // not where one begins
    CHECK(state().reserved == 2);
    CHECK(state().mapped == 4);
    device->release(a, 8 * kPage);
    CHECK(state().reserved == 1);
    CHECK(state().mapped == 1);
    CHECK(state().memory == fake_cuda::State{}.memory - 3 * kPage);
    device->release(a, 8 * kPage);  // a second time
    CHECK(read(*device, b + 3 * kPage - 1, 1)[0] == 0);
    device->release(b, 4 * kPage);
}

TEST_CASE("cuda: memory that the driver does not give is an error of the device, and what was there stays") {
    const Fake fake;
    const auto device = make_gpu_device();
    state().failures["cuMemAddressReserve"] = CUDA_ERROR_OUT_OF_MEMORY;
    CHECK(error_of(ErrorKind::device, [&] { device->reserve(kPage); }) ==
          "gpu: cannot reserve address space: driver's error 2");
    auto* const p = static_cast<std::byte*>(device->reserve(std::size_t{2} << 30));
    device->commit(p, kPage);
    device->fill(p, 5, 4);
    CHECK(error_of(ErrorKind::device, [&] { device->commit(p + kPage, std::size_t{1} << 30); }) ==
          "gpu: out of memory: driver's error 2");
    state().failures["cuMemMap"] = CUDA_ERROR_NOT_SUPPORTED;
    CHECK(error_of(ErrorKind::device, [&] { device->commit(p + kPage, kPage); }) ==
          "gpu: cannot map memory: driver's error 801");
    CHECK(state().allocated == 1);  // what could not be mapped is given back
    CHECK(state().mapped == 1);
    CHECK(read(*device, p, 1)[0] == 5);
    device->commit(p + kPage, kPage);  // at the same place
    CHECK(read(*device, p + kPage, 1)[0] == 0);
    state().failures["cuMemSetAccess"] = CUDA_ERROR_NOT_SUPPORTED;
    CHECK_THROWS_AS(device->commit(p + 2 * kPage, kPage), Error);
    device->release(p, std::size_t{2} << 30);  // also what was mapped and nobody may touch
}

TEST_CASE("cuda: a graph with other nodes is not taken over, which is no error of what comes next") {
    const Fake fake;
    const auto device = make_gpu_device();
    auto* const p = static_cast<std::byte*>(device->reserve(kPage));
    device->commit(p, kPage);
    auto captured = [&](int value, int times) {
        CaptureScope capture(*device);
        for (int i = 0; i < times; i++) device->fill(p, value, 4);
        return capture.end();
    };
    {
        const auto graph = captured(4, 1), same = captured(5, 1), longer = captured(6, 2);
        CHECK(longer->nodes() == 2);
        CHECK(!graph->update(*longer));
        CHECK(cudaGetLastError() == cudaSuccess);
        graph->launch();
        CHECK(read(*device, p, 1)[0] == 4);
        CHECK(graph->update(*same));
        graph->launch();
        CHECK(read(*device, p, 1)[0] == 5);
        CHECK(device->launches() == 2);
        state().failures["cudaGraphExecUpdate"] = cudaErrorInvalidValue;
        CHECK(error_of(ErrorKind::runtime, [&] { graph->update(*same); }) ==
              "gpu: updating a graph: runtime's error 1");
        state().failures["cudaGraphLaunch"] = cudaErrorMemoryAllocation;
        CHECK(error_of(ErrorKind::device, [&] { graph->launch(); }) == "gpu: launching a graph: runtime's error 2");
        CHECK(state().executables == 3);
    }
    CHECK(state().executables == 0);
    device->release(p, kPage);
}

TEST_CASE("cuda: a capture that fails leaves the device as it was") {
    const Fake fake;
    const auto device = make_gpu_device();
    CHECK(error_of(ErrorKind::runtime, [&] { device->end_capture(); }) == "no capture has begun");
    state().failures["cudaStreamBeginCapture"] = cudaErrorIllegalState;
    CHECK_THROWS_AS(device->begin_capture(), Error);
    CHECK(!device->capturing());
    device->begin_capture();
    CHECK(device->capturing());
    state().failures["cudaStreamEndCapture"] = cudaErrorStreamCaptureInvalidated;
    CHECK_THROWS_AS(device->end_capture(), Error);
    CHECK(!device->capturing());
    device->synchronize();
}

TEST_CASE("cuda: what was begun is given back where the rest of it fails") {
    const Fake fake;
    const auto device = make_gpu_device();
    for (const char* function : {"cudaGraphGetNodes", "cudaGraphInstantiate"}) {
        CaptureScope capture(*device);
        state().failures[function] = cudaErrorMemoryAllocation;
        CHECK(error_of(ErrorKind::device, [&] { capture.end(); }) == "gpu: a captured graph: runtime's error 2");
        CHECK(state().graphs == 0);
    }
    state().failures["cudaEventRecord"] = cudaErrorInvalidValue;
    CHECK(error_of(ErrorKind::runtime, [&] { device->record(); }) == "gpu: an event: runtime's error 1");
    CHECK(state().events == 0);
}
