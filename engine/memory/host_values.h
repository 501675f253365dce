// Numbers of the host that captured work reads: at places of the device that stay, sent together by one copy before the
// work is launched.
#pragma once
#include <vector>

#include "engine/memory/arena.h"

namespace nascent {

class HostValues {
  public:
    /// The device must outlive it. `capacity` bytes can be taken.
    explicit HostValues(Device& device, std::size_t capacity = std::size_t{1} << 24);
    /// A place that stays, on the device, zero at first. Not inside a capture: Error(runtime).
    void* take(std::size_t bytes);
    Tensor tensor(const Shape& shape, DType dtype);
    /// What a place (or its beginning) will hold from the next send() on.
    void write(void* place, const void* from, std::size_t bytes);
    template <class T>
    void write(void* place, const T& value) {
        write(place, &value, sizeof(value));
    }
    /// Copies all places to the device.
    void send();
    std::size_t bytes() const { return host_.size(); }

  private:
    Arena arena_;
    std::byte* base_;
    std::vector<std::byte> host_;
};

}  // namespace nascent
