#include "kernels/common/partials.cuh"
#include "kernels/common/summed.cuh"
#include "kernels/common/weight_gradient.cuh"
#include "kernels/picture.h"

namespace nascent::kernels::gpu {

// conv.cu's and conv_backward.cu's: the shape decides.
std::size_t conv_forward_workspace(const Stream&, const ConvShape&, std::size_t element);
std::size_t conv_backward_workspace(const Stream&, const ConvShape&, std::size_t element);

namespace {

/// A source of pixels (tile.cuh) that reads the data set's bytes.
template <class S>
struct PictureSource {
    using T = Compute<S>;
    PictureBatch<S> batch;
    int h, w;

    struct Channels {
        int first;
    };
    using Raw = unsigned;  // a byte for each channel
    __device__ Channels channels(int first) const { return {first}; }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        Raw raw = 0;
        const PictureDraw draw = batch.draws[n];
        const int y = row + draw.top - batch.pad_y, x = column + draw.left - batch.pad_x;
        if (y < 0 || y >= h || x < 0 || x >= w) return raw;
        const std::size_t pixel = (static_cast<std::size_t>(draw.index) * h + y) * w + (draw.flip ? w - 1 - x : x);
#pragma unroll
        for (int i = 0; i < kWide<T>; i++)
            if (k.first + i < 3) raw |= static_cast<unsigned>(batch.pictures[pixel * 3 + k.first + i]) << 8 * i;
        return raw;
    }
    __device__ Wide<T> value(const Raw& raw, const Channels& k) const {
        Wide<T> v = {};
#pragma unroll
        for (int i = 0; i < kWide<T>; i++)
            if (k.first + i < 3) v.v[i] = batch.table[(raw >> 8 * i & 255) * 3 + k.first + i];
        return v;
    }
};

template <class S>
__global__ void __launch_bounds__(kThreads) input_kernel(PictureSource<S> source, unsigned pixels, S* x) {
    using T = Compute<S>;
    if (item() >= pixels) return;
    const unsigned w = static_cast<unsigned>(source.w), h = static_cast<unsigned>(source.h), row = item() / w;
    for (int first = 0; first < 3; first += kWide<T>) {
        const auto channels = source.channels(first);
        const Wide<T> v = source.value(
            source.fetch(static_cast<int>(row / h), static_cast<int>(row % h), static_cast<int>(item() % w), channels),
            channels);
        store_channels(x + static_cast<std::size_t>(item()) * 3 + first, narrow<S>(v), 3 - first, false);
    }
}

}  // namespace

template <class S>
void picture_input(const Stream& stream, const ConvShape& s, PictureBatch<S> batch, S* x) {
    const unsigned pixels = items(static_cast<std::size_t>(s.n) * s.h * s.w);
    simt::launch(input_kernel<S>, items(stream, pixels), PictureSource<S>{batch, s.h, s.w}, pixels, x);
}

template <class S>
void picture_conv_forward(const Stream& stream, const ConvShape& shape, PictureBatch<S> batch, const Compute<S>* w,
                          S* z, double* sums, void* workspace) {
    using T = Compute<S>;
    const ConvPlan plan = plan_convolution<T>(shape, false);
    const ConvTiles& s = plan.s;
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    launch_summed<T>(handle, plan, PictureSource<S>{batch, s.in_h, s.in_w}, w, wide<T>(s.out_c, {w}),
                     StoreZ<S>{z, s.out_h, s.out_w, s.out_c, wide<S, kGroup<S>>(s.out_c, {z})}, sums, workspace);
}

template <class S>
void picture_conv_backward(const Stream& stream, const ConvShape& shape, PictureBatch<S> batch, const S* dy,
                           NormFold<S> fold, Compute<S>* dw, bool accumulate_dw, void* workspace) {
    using T = Compute<S>;
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    const int c_out = shape.c_out;
    const GradientPlan plan = plan_gradient<T>(shape);
    T* partials = static_cast<T*>(workspace);
    const bool is_wide = wide<S, kGroup<S>>(c_out, {dy, fold.z}) && wide_vectors({fold.scale, fold.slope, fold.shift});
    with_width<T>(is_wide, [&](auto n) {
        using Gradient = FoldSource<S, (n > 1)>;
        launch_weight_gradient<3, T>(handle, plan, PictureSource<S>{batch, shape.h, shape.w},
                                     Gradient{dy, shape.out_h(), shape.out_w(), c_out, fold},
                                     wide<T>(c_out, {partials}), partials);
    });
    add_partials(handle, partials, plan.grid.x, std::size_t{27} * static_cast<std::size_t>(c_out), dw, accumulate_dw);
}

std::size_t picture_conv_forward_workspace(const Stream& stream, const ConvShape& s, std::size_t element) {
    return gpu::conv_forward_workspace(stream, s, element);
}
std::size_t picture_conv_backward_workspace(const Stream& stream, const ConvShape& s, std::size_t element) {
    return gpu::conv_backward_workspace(stream, s, element);
}

#define NASCENT_PICTURE(S)                                                                                       \
    template void picture_input(const Stream&, const ConvShape&, PictureBatch<S>, S*);                           \
    template void picture_conv_forward(const Stream&, const ConvShape&, PictureBatch<S>, const Compute<S>*, S*,  \
                                       double*, void*);                                                          \
    template void picture_conv_backward(const Stream&, const ConvShape&, PictureBatch<S>, const S*, NormFold<S>, \
                                        Compute<S>*, bool, void*);
NASCENT_PICTURE(float)
NASCENT_PICTURE(double)
NASCENT_PICTURE(BFloat16)
#undef NASCENT_PICTURE

}  // namespace nascent::kernels::gpu
