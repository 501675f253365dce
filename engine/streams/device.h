// The few calls a device must answer. Memory is reserved as address space once and committed as it is needed, so that
// addresses never move.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/thread_pool.h"

namespace nascent {

enum class DeviceKind { cpu, gpu };

/// What the kernels of a device may choose.
struct KernelOptions {
    bool winograd = false;  // 3x3 convolutions by Winograd's algorithm where it is faster: other rounding
};

class Device {
  public:
    virtual ~Device() = default;
    virtual DeviceKind kind() const = 0;
    /// As logs and results show it: "cpu".
    virtual std::string name() const = 0;
    /// Address space of `bytes`; no memory yet. Throws Error(device) when there is none.
    virtual void* reserve(std::size_t bytes) = 0;
    /// Backs [address, address + bytes) of a reservation with memory; zeroed.
    virtual void commit(void* address, std::size_t bytes) = 0;
    virtual void release(void* reservation, std::size_t bytes) = 0;
    virtual void fill(void* target, int byte, std::size_t bytes) = 0;
    virtual void copy_in(void* target, const void* host, std::size_t bytes) = 0;
    virtual void copy_out(void* host, const void* source, std::size_t bytes) = 0;
    /// Waits for everything queued.
    virtual void synchronize() = 0;
    /// What kernels run on: the CPU's threads; null on other devices.
    virtual ThreadPool* pool() { return nullptr; }

    /// Not to be changed between the forward and the backward of a step.
    KernelOptions kernel_options;
};

/// The device named `cpu` or `gpu`; `threads` as ThreadPool's. Throws Error(device) for a device this build or machine
/// does not have, Error(usage) for another name.
std::unique_ptr<Device> make_device(std::string_view name, int threads = 0);

}  // namespace nascent
