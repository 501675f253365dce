// Cutting a batch into chunks: at most 32, by its size alone, so that results do not depend on how many threads there
// are.
#pragma once
#include <algorithm>

namespace nascent::kernels {

struct Chunks {
    int items, size, count;
    explicit Chunks(int n) : items(n), size(std::max(1, (n + 31) / 32)), count((n + size - 1) / size) {}
    int begin(int chunk) const { return chunk * size; }
    int end(int chunk) const { return std::min(items, (chunk + 1) * size); }
};

}  // namespace nascent::kernels
