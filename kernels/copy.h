// Bytes from several places to others, in one launch; floats too, rounded on their way.
#pragma once
#include <cstddef>
#include <span>

#include "kernels/element.h"
#include "kernels/stream.h"

namespace nascent::kernels {

struct CopyItem {
    void* to;
    const void* from;
    std::size_t count;  // bytes
};

/// No two overlap.
void copy_list(const Stream&, std::span<const CopyItem> items);

struct RoundItem {
    BFloat16* to;
    const float* from;
    std::size_t count;  // elements
};

/// to = from as the nearest bf16, ties to even; not-a-number is 0x7fff. No two overlap.
void round_list(const Stream&, std::span<const RoundItem> items);

}  // namespace nascent::kernels
