// Bytes from several places to others, in one launch.
#pragma once
#include <cstddef>
#include <span>

#include "kernels/stream.h"

namespace nascent::kernels {

struct CopyItem {
    void* to;
    const void* from;
    std::size_t count;  // bytes
};

/// No two overlap.
void copy_list(const Stream&, std::span<const CopyItem> items);

}  // namespace nascent::kernels
