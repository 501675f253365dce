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
template <class T>
struct PictureSource {
    PictureBatch<T> batch;
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

template <class T>
__global__ void __launch_bounds__(kThreads) input_kernel(PictureSource<T> source, unsigned pixels, T* x) {
    if (item() >= pixels) return;
    const unsigned w = static_cast<unsigned>(source.w), h = static_cast<unsigned>(source.h), row = item() / w;
    for (int first = 0; first < 3; first += kWide<T>) {
        const auto channels = source.channels(first);
        const Wide<T> v = source.value(
            source.fetch(static_cast<int>(row / h), static_cast<int>(row % h), static_cast<int>(item() % w), channels),
            channels);
        store_channels(x + static_cast<std::size_t>(item()) * 3 + first, v, 3 - first, false);
    }
}

}  // namespace

template <class T>
void picture_input(const Stream& stream, const ConvShape& s, PictureBatch<T> batch, T* x) {
    const unsigned pixels = items(static_cast<std::size_t>(s.n) * s.h * s.w);
    simt::launch(input_kernel<T>, items(stream, pixels), PictureSource<T>{batch, s.h, s.w}, pixels, x);
}

template <class T>
void picture_conv_forward(const Stream& stream, const ConvShape& shape, PictureBatch<T> batch, const T* w, T* z,
                          double* sums, void* workspace) {
    const ConvPlan plan = plan_convolution<T>(shape, false);
    const ConvTiles& s = plan.s;
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    launch_summed<T>(handle, plan, PictureSource<T>{batch, s.in_h, s.in_w}, w, wide<T>(s.out_c, {w}),
                     StoreZ<T>{z, s.out_h, s.out_w, s.out_c, wide<T>(s.out_c, {z})}, sums, workspace);
}

template <class T>
void picture_conv_backward(const Stream& stream, const ConvShape& shape, PictureBatch<T> batch, const T* dy,
                           NormFold<T> fold, T* dw, bool accumulate_dw, void* workspace) {
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    const int c_out = shape.c_out;
    const GradientPlan plan = plan_gradient<T>(shape);
    T* partials = static_cast<T*>(workspace);
    with_width<T>(wide<T>(c_out, {dy, fold.z, fold.scale, fold.slope, fold.shift}), [&](auto n) {
        using Gradient = FoldSource<T, (n > 1)>;
        simt::launch(weight_gradient_kernel<3, T, PictureSource<T>, Gradient>,
                     {plan.grid, plan.threads, plan.shared_bytes, handle}, plan.s,
                     PictureSource<T>{batch, shape.h, shape.w}, Gradient{dy, shape.out_h(), shape.out_w(), c_out, fold},
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

#define NASCENT_PICTURE(T)                                                                                           \
    template void picture_input(const Stream&, const ConvShape&, PictureBatch<T>, T*);                               \
    template void picture_conv_forward(const Stream&, const ConvShape&, PictureBatch<T>, const T*, T*, double*,      \
                                       void*);                                                                       \
    template void picture_conv_backward(const Stream&, const ConvShape&, PictureBatch<T>, const T*, NormFold<T>, T*, \
                                        bool, void*);
NASCENT_PICTURE(float)
NASCENT_PICTURE(double)
#undef NASCENT_PICTURE

}  // namespace nascent::kernels::gpu
