// A stack and a switch: the least that an emulator of CUDA's threads needs. Sanitizers are told of every switch.
#pragma once
#include <cstddef>
#include <cstdint>

namespace nascent::simt {

class Fiber {
  public:
    Fiber() = default;  // stands for the stack that the caller already runs on
    /// Runs `entry` on the first switch to it; `entry` never returns. Throws std::bad_alloc.
    explicit Fiber(void (*entry)());
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    static void switch_to(Fiber& from, Fiber& to);
    /// To be called first inside `entry`, with the fiber from which a thread first switches to any.
    static void on_entry(Fiber& first);

  private:
    void* sp_ = nullptr;     // a ucontext_t where there is no switch in assembly
    char* stack_ = nullptr;  // its lowest page is a guard
    const void* asan_bottom_ = nullptr;
    std::size_t asan_size_ = 0;
    void* asan_fake_ = nullptr;
    void* tsan_ = nullptr;
};

}  // namespace nascent::simt
