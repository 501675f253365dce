// What links of a chain read and write on the GPU: sources and sinks for kernels/common/convolve.cuh and tile.cuh.
#pragma once
#include "kernels/chain.h"
#include "kernels/common/convolve.cuh"

namespace nascent::kernels::gpu {

/// Channels from `channel` on, of which `count` are left, of pixel `pixel`.
template <class T>
__device__ Wide<T> load_strided(const Channels<const T>& from, std::size_t pixel, int channel, int count,
                                bool is_wide) {
    const T* p = from.x + pixel * from.pixel + static_cast<std::ptrdiff_t>(channel) * from.step;
    if (from.step == 1) return load_channels(p, count, is_wide);
    Wide<T> v = {};
#pragma unroll
    for (int i = 0; i < kWide<T>; i++)
        if (i < count) v.v[i] = p[2 * i];
    return v;
}
template <class T>
__device__ void store_strided(const Channels<T>& to, std::size_t pixel, int channel, const Wide<T>& v, int count,
                              bool is_wide, bool accumulate) {
    T* p = to.x + pixel * to.pixel + static_cast<std::ptrdiff_t>(channel) * to.step;
    Wide<T> sum = v;
    if (accumulate) {
        const Wide<T> before = load_strided<T>({to.x, to.pixel, to.step}, pixel, channel, count, is_wide);
#pragma unroll
        for (int i = 0; i < kWide<T>; i++) sum.v[i] += before.v[i];
    }
    if (to.step == 1) return store_channels(p, sum, count, is_wide);
#pragma unroll
    for (int i = 0; i < kWide<T>; i++)
        if (i < count) p[2 * i] = sum.v[i];
}

/// Whether c of the channels can be read 16 bytes at a time wherever their step is 1.
template <class T>
bool wide_channels(int c, const Channels<T>& of) {
    return !of.x || of.step == 2 || (wide<T>(c, {of.x}) && of.pixel % kWide<std::remove_const_t<T>> == 0);
}
template <class T>
bool wide_normed(int c, const Normed<T>& of) {
    return c % kWide<T> == 0 && wide_channels<const T>(c, of.x) && wide<T>(c, {of.scale, of.shift});
}

template <class T>
struct Affine {
    Wide<T> scale, shift;
    bool is_there;
    __device__ Affine(const T* s, const T* t, int channel, int count, bool is_wide)
        : scale{}, shift{}, is_there(s != nullptr) {
        if (!s) return;
        scale = load_channels(s + channel, count, is_wide);
        shift = load_channels(t + channel, count, is_wide);
    }
    __device__ T operator()(T x, int i) const { return is_there ? std::fma(x, scale.v[i], shift.v[i]) : x; }
};
template <class T>
__device__ T activate(T v, Activation activation) {  // not-a-number stays
    if (activation == Activation::none) return v;
    if (v < 0) return 0;
    return activation == Activation::relu6 && v > 6 ? T(6) : v;
}
template <class T>
__device__ T mask(T v, T g, Activation activation) {
    if (activation == Activation::none) return g;
    return v <= 0 || (activation == Activation::relu6 && v >= 6) ? T(0) : g;
}

/// activation(x * scale + shift).
template <class T, bool IsWide>
struct NormedSource {
    Normed<T> from;
    int h, w, c;

    struct Channels {
        Affine<T> affine;
        int first;
    };
    using Raw = Wide<T>;
    __device__ Channels channels(int first) const {
        return {{from.scale, from.shift, first, c - first, IsWide}, first};
    }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        return load_strided(from.x, (static_cast<std::size_t>(n) * h + row) * w + column, k.first, c - k.first, IsWide);
    }
    __device__ Wide<T> value(const Raw& raw, const Channels& k) const {
        Wide<T> v;
#pragma unroll
        for (int i = 0; i < kWide<T>; i++) v.v[i] = activate(k.affine(raw.v[i], i), from.activation);
        return v;
    }
};

/// The gradient of z, (n, h, w, c).
template <class T, bool IsWide>
struct LinkSource {
    NormedGradient<T> from;
    NormFold<T> fold;
    int h, w, c;

    struct Channels {
        Affine<T> affine;
        Wide<T> scale, slope, shift;
        int first;
    };
    struct Raw {
        Wide<T> g, z;
    };
    __device__ Channels channels(int first) const {
        const int count = c - first;
        return {{from.scale, from.shift, first, count, IsWide},
                load_channels(fold.scale + first, count, IsWide),
                load_channels(fold.slope + first, count, IsWide),
                load_channels(fold.shift + first, count, IsWide),
                first};
    }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        const std::size_t pixel = (static_cast<std::size_t>(n) * h + row) * w + column;
        return {load_strided(from.g, pixel, k.first, c - k.first, IsWide),
                load_channels(from.z + pixel * c + k.first, c - k.first, IsWide)};
    }
    __device__ Wide<T> value(const Raw& raw, const Channels& k) const {
        Wide<T> v;
#pragma unroll
        for (int i = 0; i < kWide<T>; i++) {
            const T g = mask(k.affine(raw.z.v[i], i), raw.g.v[i], from.activation);
            v.v[i] = std::fma(g, k.scale.v[i], std::fma(raw.z.v[i], k.slope.v[i], k.shift.v[i]));
        }
        return v;
    }
};

/// Where the gradient of a link's input, (n, h, w, c), goes where sums of it are wanted too: it lies alone, is as dense
/// as x and overwritten. Gives x and leaves in `v` what was stored.
template <class T>
struct SummedSink {
    T* da;
    Normed<T> input;
    int h, w, c;
    bool is_wide;
    __device__ Wide<T> operator()(int n, int y, int x, int channel, Wide<T>& v) const {
        const std::size_t pixel = (static_cast<std::size_t>(n) * h + y) * w + x;
        const int count = c - channel;
        if (count <= 0) return {};
        const Affine<T> affine(input.scale, input.shift, channel, count, is_wide);
        const Wide<T> raw = load_strided(input.x, pixel, channel, count, is_wide);
#pragma unroll
        for (int i = 0; i < kWide<T>; i++) v.v[i] = mask(affine(raw.v[i], i), v.v[i], input.activation);
        store_channels(da + pixel * c + channel, v, count, is_wide);
        return raw;
    }
};
template <class T>
inline constexpr bool kGivesFactor<SummedSink<T>> = true;
template <class T>
SummedSink<T> summed_sink(const LinkShape& s, const Normed<T>& input, const LinkTarget<T>& to) {
    return {to.da.x, input, s.h, s.w, s.c_in, wide_normed(s.c_in, input) && wide<T>(s.c_in, {to.da.x})};
}

/// Where it goes without sums.
template <class T>
struct LinkSink {
    LinkTarget<T> to;
    Normed<T> input;
    int h, w, c;
    bool is_wide;  // of what has step 1
    __device__ void operator()(int n, int y, int x, int channel, const Wide<T>& gradient) const {
        const std::size_t pixel = (static_cast<std::size_t>(n) * h + y) * w + x;
        const int count = c - channel;
        if (count <= 0) return;
        Wide<T> v = gradient;
        if (input.activation != Activation::none) {
            const Affine<T> affine(input.scale, input.shift, channel, count, is_wide);
            const Wide<T> raw = load_strided(input.x, pixel, channel, count, is_wide);
#pragma unroll
            for (int i = 0; i < kWide<T>; i++) v.v[i] = mask(affine(raw.v[i], i), v.v[i], input.activation);
        }
        if (to.skip.x) {
            const Wide<T> skip = load_strided(to.skip, pixel, channel, count, is_wide);
#pragma unroll
            for (int i = 0; i < kWide<T>; i++) v.v[i] += skip.v[i];
        }
        store_strided(to.da, pixel, channel, v, count, is_wide, to.accumulate);
        if (to.round_da.x)
            store_strided(to.round_da, pixel, channel, load_strided(to.round_g, pixel, channel, count, is_wide), count,
                          is_wide, to.accumulate);
    }
};
template <class T>
LinkSink<T> link_sink(const LinkShape& s, const Normed<T>& input, const LinkTarget<T>& to) {
    const bool is_wide = wide_normed(s.c_in, input) && wide_channels<T>(s.c_in, to.da) &&
                         wide_channels<const T>(s.c_in, to.skip) && wide_channels<T>(s.c_in, to.round_da) &&
                         wide_channels<const T>(s.c_in, to.round_g);
    return {to, input, s.h, s.w, s.c_in, is_wide};
}
template <class T>
bool wide_gradient(const LinkShape& s, const NormedGradient<T>& g, const NormFold<T>& fold) {
    return s.c_out % kWide<T> == 0 && wide_channels<const T>(s.c_out, g.g) &&
           wide<T>(s.c_out, {g.z, g.scale, g.shift, fold.scale, fold.slope, fold.shift});
}

/// Depthwise links (chain_depth.cu).
template <class T>
void depth_link_forward(const Stream&, const LinkShape&, const Normed<T>&, const T* w, T* z, double* sums,
                        void* workspace);
template <class T>
void depth_link_backward(const Stream&, const LinkShape&, const Normed<T>&, const T* w, const NormedGradient<T>&,
                         const NormFold<T>&, const LinkTarget<T>&, T* dw, bool accumulate_dw, void* workspace);
std::size_t depth_link_workspace(const LinkShape&, bool backward, std::size_t element);

}  // namespace nascent::kernels::gpu
