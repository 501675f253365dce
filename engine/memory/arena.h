// An arena: address space reserved once, memory committed as it grows, bump allocation, reset to a mark.
#pragma once
#include <cstddef>
#include <vector>

#include "engine/streams/device.h"
#include "engine/tensor/tensor.h"

namespace nascent {

#ifdef NASCENT_CHECKED
inline constexpr bool checked_by_default = true;
#else
inline constexpr bool checked_by_default = false;
#endif

class Arena {
  public:
    static constexpr std::size_t alignment = 64;
    /// Of address space, for each: MobileNet's first blocks take 10 MB a picture. ThreadSanitizer leaves little of it.
#ifdef __SANITIZE_THREAD__
    static constexpr std::size_t default_reserve = std::size_t{1} << 34;
#else
    static constexpr std::size_t default_reserve = std::size_t{1} << 38;
#endif
    /// `reserve` is address space, not memory. `checked`: every allocation is filled with 0xFF (NaN), followed by a red
    /// zone, and filled again when it is released, so that a read before a write or after a reset cannot pass.
    explicit Arena(Device& device, std::size_t reserve = default_reserve, bool checked = checked_by_default);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    Device& device() const { return device_; }
    bool checked() const { return checked_; }
    /// Aligned, uninitialised. Throws Error(device) when the reservation is used up.
    void* allocate(std::size_t bytes);
    Tensor tensor(const Shape& shape, DType dtype);
    std::size_t mark() const { return used_; }
    /// Takes everything up to `mark`, as allocations that a replayed capture contains did. It must be committed.
    void take_to(std::size_t mark);
    /// Gives back everything allocated since `mark`. Checks its red zones in checked mode: throws Error(runtime).
    void reset(std::size_t mark = 0);
    void check_red_zones() const;
    std::size_t used() const { return used_; }
    /// The most bytes in use since the start or the last clear_high_water().
    std::size_t high_water() const { return high_water_; }
    void clear_high_water() { high_water_ = used_; }

  private:
    void check_zone(std::size_t begin) const;
    Device& device_;
    std::byte* base_;
    std::size_t reserved_, committed_ = 0, used_ = 0, high_water_ = 0;
    bool checked_;
    std::vector<std::size_t> zones_;  // offsets of red zones, ascending
};

/// Resets an arena to where it was: for what an op needs only while it runs.
class ScratchScope {
  public:
    explicit ScratchScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
    ~ScratchScope() noexcept(false) { arena_.reset(mark_); }
    ScratchScope(const ScratchScope&) = delete;
    ScratchScope& operator=(const ScratchScope&) = delete;

  private:
    Arena& arena_;
    std::size_t mark_;
};

/// Gradients of activations live from their first writer to their reader, out of stack order: slots that are given back
/// are taken again (best fit), so a chain of layers ping-pongs between two of them.
class GradientSlots {
  public:
    explicit GradientSlots(Arena& arena) : arena_(arena) {}
    void* take(std::size_t bytes);
    void give_back(void* slot);
    /// Forgets all slots; the arena is reset by its owner.
    void clear() { slots_.clear(); }
    std::size_t count() const { return slots_.size(); }

  private:
    struct Slot {
        void* data;
        std::size_t bytes;
        bool free;
    };
    Arena& arena_;
    std::vector<Slot> slots_;
};

}  // namespace nascent
