// Fixed places for what the blocks of a network compute. Whatever candidate a block runs, what it allocates begins at
// the same address, so that work captured for (block, candidate) is valid on every path.
#pragma once
#include <memory>
#include <vector>

#include "engine/memory/arena.h"

namespace nascent {

/// One arena per block; each takes the memory of the largest candidate its block has run.
class Slots {
  public:
    explicit Slots(Device& device, std::size_t reserve_per_block = Arena::default_reserve)
        : device_(device), reserve_(reserve_per_block) {}
    Arena& at(std::size_t block) {
        while (blocks_.size() <= block) blocks_.push_back(std::make_unique<Arena>(device_, reserve_));
        return *blocks_[block];
    }
    /// Before the next step; the addresses stay.
    void reset() {
        for (auto& arena : blocks_) arena->reset();
    }
    std::size_t high_water() const {
        std::size_t sum = 0;
        for (const auto& arena : blocks_) sum += arena->high_water();
        return sum;
    }

  private:
    Device& device_;
    std::size_t reserve_;
    std::vector<std::unique_ptr<Arena>> blocks_;
};

}  // namespace nascent
