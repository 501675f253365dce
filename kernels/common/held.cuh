// Sums whose second stage is left to a kernel that takes several (kernels/node_list.h).
#pragma once
#include "kernels/common/sums.cuh"

namespace nascent::kernels::gpu {

/// What add_chunks() of this thread has left to do while `on`.
struct HeldChunks {
    bool on = false;
    const double* partials = nullptr;
    std::size_t rows = 0;
    const double* sums = nullptr;
};
HeldChunks& held_chunks();

}  // namespace nascent::kernels::gpu
