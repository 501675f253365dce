// How many bytes of device memory kernels ask for, where a hook is called at every access (nascent_emulated counted).
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "kernels/simt/emulator.h"

namespace nascent::simt {

/// Of the launches of one place, in bytes of sectors of 32, the least that a GPU moves. `moved`: what a block touches
/// counts once a block, as if its multiprocessor kept it; `needed`: once a launch.
struct Traffic {
    std::string place;  // file:line, function
    std::size_t launches = 0, blocks = 0;
    struct Bytes {
        std::size_t moved = 0, needed = 0;
    } read, written;
};

/// Whether this build counts.
bool counts_traffic();
/// Kernels' accesses to these bytes count from now on, until `forget`: memory of a device.
void count_traffic(const void* base, std::size_t bytes);
void forget_traffic(const void* base);
/// What was counted by launches of all threads since the last call, by place.
std::vector<Traffic> take_traffic();

// The emulator's own calls.

/// The calling thread's kernel touched these bytes; only inside of a launch.
void touch(const void* p, std::size_t bytes, bool write);
/// A launch, while it lives: one at a time counts.
class CountedLaunch {
  public:
    explicit CountedLaunch(const Place& at);
    ~CountedLaunch();
    CountedLaunch(const CountedLaunch&) = delete;
    CountedLaunch& operator=(const CountedLaunch&) = delete;
    void begin_block() const;
};

}  // namespace nascent::simt
