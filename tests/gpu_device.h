// The gpu for tests: a real one in a build with CUDA, else the emulator's.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "engine/base/error.h"
#include "engine/memory/arena.h"
#include "engine/streams/device.h"

namespace nascent::testing {

/// Null, with a line that says so, where the build has CUDA and the machine has no GPU.
inline std::unique_ptr<Device> gpu_device() {
    setenv("NASCENT_EMULATE", "1", 1);
    try {
        return make_device("gpu");
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::device || std::strstr(e.what(), "no GPU can be used") == nullptr) throw;
        MESSAGE("[SKIPPED] ", e.what());
        return nullptr;
    }
}

/// The same, with activations stored as bf16.
inline std::unique_ptr<Device> bf16_device() {
    auto gpu = gpu_device();
    if (gpu) gpu->kernel_options.precision = Precision::bf16;
    return gpu;
}

/// Whether graphs have the nodes of their work alone: not where arenas fill what they give and take back, nor where
/// memory is closed between.
inline bool counts_nodes([[maybe_unused]] const Device& device) {
#ifdef __SANITIZE_ADDRESS__
    return false;
#else
    return !checked_by_default && device.name().find("emulated") != std::string::npos;
#endif
}

}  // namespace nascent::testing
