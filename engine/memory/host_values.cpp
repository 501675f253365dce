#include "engine/memory/host_values.h"

#include <cstring>

namespace nascent {

HostValues::HostValues(Device& device, std::size_t capacity)
    : arena_(device, capacity, false), base_(static_cast<std::byte*>(arena_.allocate(0))) {}

void* HostValues::take(std::size_t bytes) {
    void* place = arena_.allocate(bytes);
    const std::size_t begin = host_.size();
    host_.resize(arena_.used());
    arena_.device().copy_in(place, host_.data() + begin, host_.size() - begin);
    return place;
}

Tensor HostValues::tensor(const Shape& shape, DType dtype) {
    Tensor t{shape, dtype, &arena_.device(), nullptr, {}};
    t.data = take(t.bytes());
    return t;
}

void HostValues::write(void* place, const void* from, std::size_t bytes) {
    const std::ptrdiff_t at = static_cast<std::byte*>(place) - base_;
    NASCENT_CHECK(at >= 0 && static_cast<std::size_t>(at) + bytes <= host_.size(), runtime,
                  "{} bytes at {} are no place among the {} of the host's values", bytes, at, host_.size());
    std::memcpy(host_.data() + at, from, bytes);
}

void HostValues::send() {
    if (!host_.empty()) arena_.device().copy_in(base_, host_.data(), host_.size());
}

}  // namespace nascent
