// Shared by the kernels that are written to be read.
#pragma once
#include <cstddef>

#include "kernels/cpu/chunks.h"
#include "kernels/stream.h"

namespace nascent::kernels::cpu {

using Size = std::size_t;

template <class T>
void put(T& to, double value, bool accumulate) {
    to = static_cast<T>(accumulate ? static_cast<double>(to) + value : value);
}

/// f(i) for i in [0, count), shared out in at most 32 chunks.
template <class F>
void for_each(const Stream& stream, int count, F&& f) {
    const Chunks chunks(count);
    parallel(stream, chunks.count, [&](int chunk, int) {
        for (int i = chunks.begin(chunk); i < chunks.end(chunk); i++) f(i);
    });
}

/// Of element (n, y, x, c) in (.., height, width, channels).
inline Size offset(int n, int y, int x, int c, int height, int width, int channels) {
    return ((Size(n) * height + y) * width + x) * channels + c;
}

}  // namespace nascent::kernels::cpu
