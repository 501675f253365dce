// Activations and their gradients stored as bf16, read 16 bytes at a time: sources for dense.cuh, whose factors are
// bf16 too. Vectors, weights and arithmetic are float.
#pragma once
#include "kernels/common/conv_gradient.cuh"
#include "kernels/common/dense.cuh"

namespace nascent::kernels::gpu {

using Floats = Pack<float, kWide<BFloat16>>;

/// x through a prologue.
struct StoredSource {
    const BFloat16* x;  // (n, h, w, c)
    int h, w, c;
    Prologue<BFloat16> prologue;

    struct Channels {
        int first;
    };
    using Raw = Wide<BFloat16>;
    __device__ Channels channels(int first) const { return {first}; }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        return load_channels(x + ((static_cast<std::size_t>(n) * h + row) * w + column) * c + k.first, c - k.first,
                             true);
    }
    /// Vectors come from the cache each time: eight channels' are too many for registers.
    __device__ Floats value(const Raw& raw, const Channels& k) const {
        Floats v = widen(raw);
        if (prologue.scale && k.first < c)
#pragma unroll
            for (int i = 0; i < kWide<BFloat16>; i += 4) {
                const auto scale = load<4>(prologue.scale + k.first + i), shift = load<4>(prologue.shift + k.first + i);
#pragma unroll
                for (int j = 0; j < 4; j++) v.v[i + j] = std::fma(v.v[i + j], scale.v[j], shift.v[j]);
            }
#pragma unroll
        for (int i = 0; i < kWide<BFloat16>; i++)
            if (prologue.relu) v.v[i] = v.v[i] < 0 ? 0.0f : v.v[i];  // not-a-number stays
        return v;
    }
};

struct StoredGradient {
    const BFloat16* dy;  // (n, h, w, c), like z
    int h, w, c;
    NormFold<BFloat16> fold;

    struct Channels {
        int first;
    };
    struct Raw {
        Wide<BFloat16> dy, z;
    };
    __device__ Channels channels(int first) const { return {first}; }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        const std::size_t at = ((static_cast<std::size_t>(n) * h + row) * w + column) * c + k.first;
        Raw raw = {};
        raw.dy = load_channels(dy + at, c - k.first, true);
        if (fold.z) raw.z = load_channels(fold.z + at, c - k.first, true);
        return raw;
    }
    __device__ Floats value(const Raw& raw, const Channels& k) const {
        if (!fold.z || k.first >= c) return widen(raw.dy);
        Floats v;
#pragma unroll
        for (int i = 0; i < kWide<BFloat16>; i += 4) {
            const auto scale = load<4>(fold.scale + k.first + i), slope = load<4>(fold.slope + k.first + i),
                       shift = load<4>(fold.shift + k.first + i);
#pragma unroll
            for (int j = 0; j < 4; j++)
                v.v[i + j] = std::fma(widen(raw.dy.v[i + j]), scale.v[j],
                                      std::fma(widen(raw.z.v[i + j]), slope.v[j], shift.v[j]));
        }
        return v;
    }
};

/// What is multiplied of tensors of S, and where it comes from.
template <class S>
struct Dense;
template <>
struct Dense<float> {
    using Products = Tf32;
    using Input = PrologueSource<float, true>;
    using Gradient = FoldSource<float, true>;
};
template <>
struct Dense<BFloat16> {
    using Products = Bf16;
    using Input = StoredSource;
    using Gradient = StoredGradient;
};

}  // namespace nascent::kernels::gpu
