// Activations and their gradients stored as bf16 (the upper half of a float), read and written 16 and 8 bytes at a
// time: sources and sinks for dense.cuh. Vectors, weights and arithmetic are float.
#pragma once
#include "kernels/common/dense.cuh"

namespace nascent::kernels::gpu {

using Stored = std::uint16_t;
using Floats = Pack<float, kWide<Stored>>;

template <int N>
__device__ Pack<float, N> unpack(const Pack<Stored, N>& v) {
    Pack<float, N> wide;
#pragma unroll
    for (int i = 0; i < N; i++) wide.v[i] = simt::from_bits(static_cast<unsigned>(v.v[i]) << 16);
    return wide;
}
/// x through a prologue.
struct StoredSource {
    const Stored* x;  // (n, h, w, c)
    int h, w, c;
    Prologue<float> prologue;

    struct Channels {
        int first;
    };
    using Raw = Wide<Stored>;
    __device__ Channels channels(int first) const { return {first}; }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        return load_channels(x + ((static_cast<std::size_t>(n) * h + row) * w + column) * c + k.first, c - k.first,
                             true);
    }
    /// Vectors come from the cache each time: eight channels' are too many for registers.
    __device__ Floats value(const Raw& raw, const Channels& k) const {
        Floats v = unpack(raw);
        if (prologue.scale && k.first < c)
#pragma unroll
            for (int i = 0; i < kWide<Stored>; i += 4) {
                const auto scale = load<4>(prologue.scale + k.first + i), shift = load<4>(prologue.shift + k.first + i);
#pragma unroll
                for (int j = 0; j < 4; j++) v.v[i + j] = std::fma(v.v[i + j], scale.v[j], shift.v[j]);
            }
#pragma unroll
        for (int i = 0; i < kWide<Stored>; i++)
            if (prologue.relu) v.v[i] = v.v[i] < 0 ? 0.0f : v.v[i];  // not-a-number stays
        return v;
    }
};

/// What NormFold<float> is of stored tensors; z null: dz = dy.
struct StoredFold {
    const Stored* z = nullptr;
    const float *scale = nullptr, *slope = nullptr, *shift = nullptr;
};
struct StoredGradient {
    const Stored* dy;  // (n, h, w, c), like z
    int h, w, c;
    StoredFold fold;

    struct Channels {
        int first;
    };
    struct Raw {
        Wide<Stored> dy, z;
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
        Floats v = unpack(raw.dy);
        if (!fold.z || k.first >= c) return v;
        const Floats z = unpack(raw.z);
#pragma unroll
        for (int i = 0; i < kWide<Stored>; i += 4) {
            const auto scale = load<4>(fold.scale + k.first + i), slope = load<4>(fold.slope + k.first + i),
                       shift = load<4>(fold.shift + k.first + i);
#pragma unroll
            for (int j = 0; j < 4; j++)
                v.v[i + j] = std::fma(v.v[i + j], scale.v[j], std::fma(z.v[i + j], slope.v[j], shift.v[j]));
        }
        return v;
    }
};

/// Leaves in `v` what was stored and gives it: sums are of that.
struct StoreZStored {
    Stored* z;
    int h, w, c;
    __device__ Wide<float> operator()(int n, int y, int x, int channel, Wide<float>& v) const {
        if (channel >= c) return v;
        const Pack<Stored, 4> rounded = Bf16::round(v);
        store(z + ((static_cast<std::size_t>(n) * h + y) * w + x) * c + channel, rounded);
        return v = unpack(rounded);
    }
};
template <>
inline constexpr bool kGivesFactor<StoreZStored> = true;

/// Masked where the prologue's ReLU of x is, overwritten.
struct StoreGradientStored {
    Stored* da;
    StoredSource input;
    __device__ void operator()(int n, int y, int x, int channel, const Wide<float>& gradient) const {
        if (channel >= input.c) return;
        const std::size_t at = ((static_cast<std::size_t>(n) * input.h + y) * input.w + x) * input.c + channel;
        Wide<float> v = gradient;
        if (input.prologue.relu) {
            const Prologue<float>& p = input.prologue;
            Wide<float> a = unpack(load<4>(input.x + at));
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (p.scale) a.v[i] = std::fma(a.v[i], p.scale[channel + i], p.shift[channel + i]);
                if (a.v[i] <= 0) v.v[i] = 0;  // not-a-number lets it pass
            }
        }
        store(da + at, Bf16::round(v));
    }
};

}  // namespace nascent::kernels::gpu
