// The few calls a device must answer. Memory is reserved as address space once and committed as it is needed, so that
// addresses never move. Work on a device is done in the order in which it was asked for, perhaps later: what the host
// reads it has to copy out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/thread_pool.h"

namespace nascent {

enum class DeviceKind { cpu, gpu };

/// What the gpu's products of float32 tensors are made of: float32, or factors rounded to tf32 (10 bits of fraction,
/// nearest) on tensor cores; sums are float32 in both. bf16: activations and their gradients are stored as bf16 and
/// multiplied as such, what else is float32 as with tf32.
enum class Precision { float32, tf32, bf16 };

/// What the kernels of a device may choose.
struct KernelOptions {
    bool winograd = false;  // 3x3 convolutions by Winograd's algorithm where it is faster: other rounding
    Precision precision = Precision::float32;  // of the gpu
};

/// Work that was captured: does it again, with the same arguments, any number of times.
class Graph {
  public:
    virtual ~Graph() = default;
    /// Queues all of it on the device's stream, as one launch.
    virtual void launch() = 0;
    /// Takes over another capture's arguments, where it has the same nodes in the same order; false where it has not.
    virtual bool update(const Graph& other) = 0;
    /// Kernels, fills and copies in it.
    virtual std::size_t nodes() const = 0;
};

/// A point in a stream's work.
class Event {
  public:
    virtual ~Event() = default;
};

/// An order of transfers beside the device's own stream.
class TransferStream {
  public:
    virtual ~TransferStream() = default;
    /// `host` is pinned memory (Device::allocate_host) and must not change until the event recorded next is waited for.
    virtual void copy_in(void* target, const void* host, std::size_t bytes) = 0;
    virtual std::unique_ptr<Event> record() = 0;
    /// What is queued here from now on begins after the event.
    virtual void wait(const Event& event) = 0;
    /// The host waits for everything queued here.
    virtual void synchronize() = 0;
};

class Device {
  public:
    virtual ~Device() = default;
    virtual DeviceKind kind() const = 0;
    /// As logs and results show it: "cpu", "gpu (NVIDIA H200)", "gpu (emulated)".
    virtual std::string name() const = 0;
    /// Address space of `bytes`; no memory yet. Throws Error(device) when there is none.
    virtual void* reserve(std::size_t bytes) = 0;
    /// Backs [address, address + bytes) of a reservation with memory; zeroed. Not inside a capture: Error(runtime).
    virtual void commit(void* address, std::size_t bytes) = 0;
    virtual void release(void* reservation, std::size_t bytes) = 0;
    /// Here and below pointers may be null where there are no bytes.
    virtual void fill(void* target, int byte, std::size_t bytes) = 0;
    /// `host` may change as soon as it returns. Not inside a capture: Error(runtime).
    virtual void copy_in(void* target, const void* host, std::size_t bytes) = 0;
    /// Waits for everything queued, then copies. Not inside a capture: Error(runtime).
    virtual void copy_out(void* host, const void* source, std::size_t bytes) = 0;
    /// Waits for everything queued; throws what went wrong in it. Not inside a capture: Error(runtime).
    virtual void synchronize() = 0;
    /// What kernels run on: the CPU's threads; null on other devices.
    virtual ThreadPool* pool() { return nullptr; }
    /// What kernels are launched on: the gpu's stream; null on the CPU.
    virtual void* stream() { return nullptr; }

    /// Not to be changed between the forward and the backward of a step.
    KernelOptions kernel_options;

    // Of a gpu alone: on the CPU these throw Error(runtime), and can_capture() is false.

    virtual bool can_capture() const { return false; }
    /// From now on launches and fills are recorded and not done.
    virtual void begin_capture();
    virtual std::unique_ptr<Graph> end_capture();
    virtual bool capturing() const { return false; }
    /// Host memory that transfers read without a copy in between; freed by free_host().
    virtual void* allocate_host(std::size_t bytes);
    virtual void free_host(void* host);
    virtual std::unique_ptr<TransferStream> make_transfer_stream();
    /// What is launched from now on begins after the event.
    virtual void wait(const Event& event);
    /// A point behind everything launched so far.
    virtual std::unique_ptr<Event> record();
    /// Kernels and graphs launched by the host so far; what is in a graph counts once. CUDA counts the graphs alone.
    virtual std::int64_t launches() const { return 0; }

    /// For AddressSanitizer: work from now on must not touch the memory (closed), or may again. Nothing without it, or
    /// where work is not done by the CPU.
    virtual void poison(void* target, std::size_t bytes, bool closed);
};

/// Abandons a capture that ends by an exception, so that the device can go on.
class CaptureScope {
  public:
    explicit CaptureScope(Device& device) : device_(device) { device_.begin_capture(); }
    ~CaptureScope();
    CaptureScope(const CaptureScope&) = delete;
    CaptureScope& operator=(const CaptureScope&) = delete;
    std::unique_ptr<Graph> end();

  private:
    Device& device_;
    bool ended_ = false;
};

/// The device named `cpu` or `gpu`; `threads` as ThreadPool's. Throws Error(device) for a device this build or machine
/// does not have, Error(usage) for another name. In a build without CUDA `gpu` is the emulator, which runs the GPU's
/// kernels on the CPU, for checking; it has to be asked for with NASCENT_EMULATE=1 in the environment.
std::unique_ptr<Device> make_device(std::string_view name, int threads = 0);

/// The gpu of this build: CUDA's or the emulator's.
std::unique_ptr<Device> make_gpu_device();

}  // namespace nascent
