#include "engine/memory/arena.h"

#include <algorithm>
#include <array>

namespace nascent {
namespace {
constexpr std::size_t grain = std::size_t{2} << 20;  // commits go by huge pages
constexpr std::size_t zone_bytes = 64;
constexpr int zone_fill = 0xCB;
std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }
}  // namespace

Arena::Arena(Device& device, std::size_t reserve, bool checked)
    : device_(device), reserved_(round_up(reserve, grain)), checked_(checked) {
    base_ = static_cast<std::byte*>(device_.reserve(reserved_));
}

Arena::~Arena() {
    device_.poison(base_, committed_, false);
    device_.release(base_, reserved_);
}

void* Arena::allocate(std::size_t bytes) {
    const std::size_t begin = used_;
    NASCENT_CHECK(bytes <= reserved_ - begin, device, "arena of {} bytes is full: {} in use, {} more wanted", reserved_,
                  begin, bytes);
    const std::size_t end = begin + round_up(bytes, alignment) + (checked_ ? zone_bytes : 0);
    NASCENT_CHECK(end <= reserved_, device, "arena of {} bytes is full: {} in use, {} more wanted", reserved_, begin,
                  bytes);
    if (end > committed_) {
        const std::size_t more = std::min(reserved_, round_up(end, grain)) - committed_;
        device_.commit(base_ + committed_, more);
        committed_ += more;
    }
    used_ = end;
    high_water_ = std::max(high_water_, used_);
    if (checked_) {
        const std::size_t zone = end - zone_bytes;
        device_.poison(base_ + begin, end - begin, false);
        device_.fill(base_ + begin, 0xFF, zone - begin);
        device_.fill(base_ + zone, zone_fill, zone_bytes);
        device_.poison(base_ + zone, zone_bytes, true);
        zones_.push_back(zone);
    }
    return base_ + begin;
}

void Arena::take_to(std::size_t mark) {
    NASCENT_CHECK(mark >= used_ && mark <= committed_, runtime, "arena: {} of {} bytes are in use, {} cannot be taken",
                  used_, committed_, mark);
    used_ = mark;
    high_water_ = std::max(high_water_, used_);
}

Tensor Arena::tensor(const Shape& shape, DType dtype) {
    Tensor t{shape, dtype, &device_, nullptr, {}};
    t.data = allocate(t.bytes());
    return t;
}

void Arena::check_zone(std::size_t begin) const {
    std::array<unsigned char, zone_bytes> zone;
    device_.poison(base_ + begin, zone_bytes, false);
    device_.copy_out(zone.data(), base_ + begin, zone_bytes);
    device_.poison(base_ + begin, zone_bytes, true);
    const bool intact = std::all_of(zone.begin(), zone.end(), [](unsigned char b) { return b == zone_fill; });
    NASCENT_CHECK(intact, runtime, "the red zone {} bytes into the arena was overwritten", begin);
}

void Arena::check_red_zones() const {
    for (std::size_t zone : zones_) check_zone(zone);
}

void Arena::reset(std::size_t mark) {
    if (checked_ && mark < used_) {
        while (!zones_.empty() && zones_.back() >= mark) {
            if (!device_.capturing()) check_zone(zones_.back());  // there is nothing to see yet
            zones_.pop_back();
        }
        device_.poison(base_ + mark, used_ - mark, false);
        device_.fill(base_ + mark, 0xFF, used_ - mark);
        device_.poison(base_ + mark, used_ - mark, true);
    }
    used_ = std::min(used_, mark);
}

void* GradientSlots::take(std::size_t bytes) {
    Slot* best = nullptr;
    for (Slot& s : slots_)
        if (s.free && s.bytes >= bytes && (!best || s.bytes < best->bytes)) best = &s;
    if (!best) best = &slots_.emplace_back(Slot{arena_.allocate(bytes), bytes, true});
    best->free = false;
    // A slot's old content must not pass for a gradient.
    if (arena_.checked()) arena_.device().fill(best->data, 0xFF, bytes);
    return best->data;
}

void GradientSlots::give_back(void* slot) {
    for (Slot& s : slots_)
        if (s.data == slot) s.free = true;
}

}  // namespace nascent
