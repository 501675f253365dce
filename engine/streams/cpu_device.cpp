#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "engine/streams/device.h"
#include "engine/streams/poison.h"

namespace nascent {
namespace {

class CpuDevice final : public Device {
  public:
    explicit CpuDevice(int threads) : pool_(threads) {}
    DeviceKind kind() const override { return DeviceKind::cpu; }
    std::string name() const override { return "cpu"; }
    void* reserve(std::size_t bytes) override {
        void* p = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        NASCENT_CHECK(p != MAP_FAILED, device, "cannot reserve {} bytes of address space: {}", bytes,
                      std::strerror(errno));
        return p;
    }
    void commit(void* address, std::size_t bytes) override {
        NASCENT_CHECK(mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0, device,
                      "cannot get {} bytes of memory: {}", bytes, std::strerror(errno));
        madvise(address, bytes, MADV_HUGEPAGE);  // fewer page faults where the system allows; only a hint
    }
    void release(void* reservation, std::size_t bytes) override { munmap(reservation, bytes); }
    void fill(void* target, int byte, std::size_t bytes) override {
        if (bytes > 0) std::memset(target, byte, bytes);
    }
    void poison(void* target, std::size_t bytes, bool closed) override { poison_now(target, bytes, closed); }
    void copy_in(void* target, const void* host, std::size_t bytes) override { copy(target, host, bytes); }
    void copy_out(void* host, const void* source, std::size_t bytes) override { copy(host, source, bytes); }
    void synchronize() override {}
    ThreadPool* pool() override { return &pool_; }

  private:
    static void copy(void* to, const void* from, std::size_t bytes) {
        if (bytes > 0) std::memcpy(to, from, bytes);
    }
    ThreadPool pool_;
};

}  // namespace

std::unique_ptr<Device> make_device(std::string_view name, int threads) {
    if (name == "cpu") return std::make_unique<CpuDevice>(threads);
    if (name == "gpu") return make_gpu_device();
    fail(ErrorKind::usage, "unknown device '{}': expected cpu or gpu", name);
}

}  // namespace nascent
