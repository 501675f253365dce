// Where the gradient of what a convolution reads goes.
#pragma once
#include "kernels/common/convolve.cuh"

namespace nascent::kernels::gpu {

/// Masked where the prologue's ReLU of x is, and added to what was there or not.
template <class S>
struct StoreGradient {
    using T = Compute<S>;
    S* da;
    PrologueSource<S, false> input;
    bool is_wide, accumulate;
    __device__ void operator()(int n, int y, int x, int channel, const Wide<T>& gradient) const {
        const std::size_t pixel = (static_cast<std::size_t>(n) * input.h + y) * input.w + x;
        const std::size_t at = pixel * input.c + channel;
        const int count = input.c - channel;
        Wide<T> v = gradient;
        if (input.prologue.relu) {
            typename PrologueSource<S, false>::Channels k = {};
            if (input.prologue.scale) {
                k.scale = load_channels(input.prologue.scale + channel, count, is_wide);
                k.shift = load_channels(input.prologue.shift + channel, count, is_wide);
            }
            const Wide<T> a = input.affine(widen(load_some<kGroup<S>>(input.x + at, count, is_wide)), k);
#pragma unroll
            for (int i = 0; i < kWide<T>; i++)
                if (a.v[i] <= 0) v.v[i] = 0;  // not-a-number lets it pass
        }
        if (accumulate) {
            const Wide<T> before = widen(load_some<kGroup<S>>(da + at, count, is_wide));
#pragma unroll
            for (int i = 0; i < kWide<T>; i++) v.v[i] += before.v[i];
        }
        store_channels(da + at, narrow<S>(v), count, is_wide);
    }
};

/// The same of a ReLU without an affine map before it, added to what was there: fewer registers.
template <class S>
struct AddMasked {
    using T = Compute<S>;
    S* da;
    const S* x;
    int h, w, c;
    bool is_wide;
    __device__ void operator()(int n, int y, int column, int channel, const Wide<T>& gradient) const {
        const std::size_t at = ((static_cast<std::size_t>(n) * h + y) * w + column) * c + channel;
        const int count = c - channel;
        const Wide<T> a = widen(load_some<kGroup<S>>(x + at, count, is_wide));
        Wide<T> v = widen(load_some<kGroup<S>>(da + at, count, is_wide));
#pragma unroll
        for (int i = 0; i < kWide<T>; i++) v.v[i] = (a.v[i] <= 0 ? 0 : gradient.v[i]) + v.v[i];  // not-a-number passes
        store_channels(da + at, narrow<S>(v), count, is_wide);
    }
};

}  // namespace nascent::kernels::gpu
