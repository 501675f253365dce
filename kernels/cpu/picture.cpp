// On the CPU a batch of pictures is a megabyte: it is written to the workspace, and the convolution is the usual one.
#include "kernels/picture.h"

namespace nascent::kernels::cpu {
namespace {

std::size_t input_bytes(const ConvShape& s, std::size_t element) {
    const std::size_t bytes = static_cast<std::size_t>(s.n) * s.h * s.w * 3 * element;
    return (bytes + 63) / 64 * 64;
}

}  // namespace

template <class T>
void picture_input(const Stream& stream, const ConvShape& s, PictureBatch<T> batch, T* x) {
    const std::size_t size = static_cast<std::size_t>(s.h) * s.w * 3;
    parallel(stream, s.n, [&](int n, int) {
        const PictureDraw& draw = batch.draws[n];
        const std::uint8_t* picture = batch.pictures + static_cast<std::size_t>(draw.index) * size;
        T* to = x + static_cast<std::size_t>(n) * size;
        for (int row = 0; row < s.h; row++)
            for (int column = 0; column < s.w; column++, to += 3) {
                const int y = row + draw.top - batch.pad_y, shifted = column + draw.left - batch.pad_x;
                const bool inside = y >= 0 && y < s.h && shifted >= 0 && shifted < s.w;
                const int from = draw.flip ? s.w - 1 - shifted : shifted;
                const std::uint8_t* pixel = picture + (static_cast<std::ptrdiff_t>(y) * s.w + from) * 3;
                for (int c = 0; c < 3; c++) to[c] = batch.table[(inside ? pixel[c] : 0) * 3 + c];
            }
    });
}

template <class T>
void picture_conv_forward(const Stream& stream, const ConvShape& s, PictureBatch<T> batch, const Compute<T>* w, T* z,
                          double* sums, void* workspace) {
    T* x = static_cast<T*>(workspace);
    cpu::picture_input<T>(stream, s, batch, x);
    kernels::conv_forward<T>(stream, s, x, {}, w, z, sums,
                             static_cast<std::byte*>(workspace) + input_bytes(s, sizeof(T)));
}

template <class T>
void picture_conv_backward(const Stream& stream, const ConvShape& s, PictureBatch<T> batch, const T* dy,
                           NormFold<T> fold, Compute<T>* dw, bool accumulate_dw, void* workspace) {
    T* x = static_cast<T*>(workspace);
    cpu::picture_input<T>(stream, s, batch, x);
    // The weights matter to da alone, which nobody wants.
    kernels::conv_backward<T>(stream, s, x, {}, nullptr, dy, fold, nullptr, false, dw, accumulate_dw,
                              static_cast<std::byte*>(workspace) + input_bytes(s, sizeof(T)));
}

std::size_t picture_conv_forward_workspace(const Stream& stream, const ConvShape& s, std::size_t element) {
    return input_bytes(s, element) + kernels::conv_forward_workspace(stream, s, element);
}
std::size_t picture_conv_backward_workspace(const Stream& stream, const ConvShape& s, std::size_t element) {
    return input_bytes(s, element) + kernels::conv_backward_workspace(stream, s, element);
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

}  // namespace nascent::kernels::cpu
