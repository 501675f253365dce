// Keeping what a computation puts out and giving back what it took besides.
#pragma once
#include "engine/memory/arena.h"

namespace nascent {

/// Where an arena stood when a computation began.
class ArenaPlace {
  public:
    explicit ArenaPlace(Arena& arena)
        : arena_(arena), mark_(arena.mark()), here_(static_cast<const std::byte*>(arena.allocate(1))) {
        overhead_ = arena.mark() - mark_ - Arena::alignment;
    }
    /// Gives back everything that was allocated after `t`, where that was allocated since; else everything.
    void keep(const Tensor& t) {
        const auto* data = static_cast<const std::byte*>(t.data);
        if (data < here_) return give_back();
        const std::size_t rows = (t.bytes() + Arena::alignment - 1) / Arena::alignment;
        const std::size_t end = mark_ + static_cast<std::size_t>(data - here_) + rows * Arena::alignment + overhead_;
        NASCENT_CHECK(end <= arena_.mark(), runtime, "arena: a tensor {} lies elsewhere", t.shape.text());
        arena_.reset(end);
    }
    void give_back() { arena_.reset(mark_); }

  private:
    Arena& arena_;
    std::size_t mark_;
    const std::byte* here_;
    std::size_t overhead_ = 0;  // red zone of an allocation
};

}  // namespace nascent
