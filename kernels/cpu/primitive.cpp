// Written to be read, and to check the fast kernels by: loops as in a textbook, sums in double.
#include "kernels/primitive.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/chunks.h"

namespace nascent::kernels::cpu {
namespace {

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

}  // namespace

template <class T>
void relu_forward(const Stream&, Size size, const T* x, T* y) {
    for (Size i = 0; i < size; i++) y[i] = x[i] <= 0 ? T(0) : x[i];
}
template <class T>
void relu_backward(const Stream&, Size size, const T* x, const T* dy, T* dx, bool accumulate) {
    for (Size i = 0; i < size; i++) {
        const T g = x[i] <= 0 ? T(0) : dy[i];
        dx[i] = accumulate ? dx[i] + g : g;
    }
}

template <class T>
void add_forward(const Stream&, Size size, const T* a, const T* b, T* y) {
    for (Size i = 0; i < size; i++) y[i] = a[i] + b[i];
}
template <class T>
void copy_or_add(const Stream&, Size size, const T* dy, T* dx, bool accumulate) {
    for (Size i = 0; i < size; i++) dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
}

template <class T>
void conv_plain_forward(const Stream& stream, const ConvShape& s, const T* x, const T* w, T* y) {
    const int oh = s.out_h(), ow = s.out_w(), pad = s.k / 2;
    for_each(stream, s.n, [&](int n) {
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++)
                for (int co = 0; co < s.c_out; co++) {
                    double sum = 0;
                    for (int ky = 0; ky < s.k; ky++)
                        for (int kx = 0; kx < s.k; kx++) {
                            const int iy = oy * s.stride + ky - pad, ix = ox * s.stride + kx - pad;
                            if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
                            for (int ci = 0; ci < s.c_in; ci++)
                                sum += static_cast<double>(x[((Size(n) * s.h + iy) * s.w + ix) * s.c_in + ci]) *
                                       w[((Size(ky) * s.k + kx) * s.c_in + ci) * s.c_out + co];
                        }
                    y[((Size(n) * oh + oy) * ow + ox) * s.c_out + co] = static_cast<T>(sum);
                }
    });
}

template <class T>
void conv_plain_backward(const Stream& stream, const ConvShape& s, const T* x, const T* w, const T* dy, T* dx,
                         bool accumulate_dx, T* dw, bool accumulate_dw) {
    const int oh = s.out_h(), ow = s.out_w(), pad = s.k / 2;
    if (dx)  // every input pixel gathers from the outputs whose windows cover it
        for_each(stream, s.n, [&](int n) {
            for (int iy = 0; iy < s.h; iy++)
                for (int ix = 0; ix < s.w; ix++)
                    for (int ci = 0; ci < s.c_in; ci++) {
                        double sum = 0;
                        for (int ky = 0; ky < s.k; ky++)
                            for (int kx = 0; kx < s.k; kx++) {
                                const int ty = iy + pad - ky, tx = ix + pad - kx;  // stride times the output pixel
                                if (ty < 0 || ty % s.stride || ty / s.stride >= oh) continue;
                                if (tx < 0 || tx % s.stride || tx / s.stride >= ow) continue;
                                const T* g = dy + ((Size(n) * oh + ty / s.stride) * ow + tx / s.stride) * s.c_out;
                                const T* v = w + ((Size(ky) * s.k + kx) * s.c_in + ci) * s.c_out;
                                for (int co = 0; co < s.c_out; co++) sum += static_cast<double>(g[co]) * v[co];
                            }
                        put(dx[((Size(n) * s.h + iy) * s.w + ix) * s.c_in + ci], sum, accumulate_dx);
                    }
        });
    if (dw)
        for_each(stream, s.k * s.k * s.c_in, [&](int row) {
            const int ky = row / s.c_in / s.k, kx = row / s.c_in % s.k, ci = row % s.c_in;
            for (int co = 0; co < s.c_out; co++) {
                double sum = 0;
                for (int n = 0; n < s.n; n++)
                    for (int oy = 0; oy < oh; oy++)
                        for (int ox = 0; ox < ow; ox++) {
                            const int iy = oy * s.stride + ky - pad, ix = ox * s.stride + kx - pad;
                            if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
                            sum += static_cast<double>(x[((Size(n) * s.h + iy) * s.w + ix) * s.c_in + ci]) *
                                   dy[((Size(n) * oh + oy) * ow + ox) * s.c_out + co];
                        }
                put(dw[Size(row) * s.c_out + co], sum, accumulate_dw);
            }
        });
}

template <class T>
void batch_norm_plain_forward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* beta,
                              double eps, T* y, T* mean, T* rstd) {
    for_each(stream, s.c, [&](int c) {
        const Size count = s.pixels();
        double sum = 0, squares = 0;
        for (Size p = 0; p < count; p++) sum += x[p * s.c + c];
        const double m = sum / static_cast<double>(count);
        for (Size p = 0; p < count; p++) squares += (x[p * s.c + c] - m) * (x[p * s.c + c] - m);
        const double r = 1 / std::sqrt(squares / static_cast<double>(count) + eps);
        mean[c] = static_cast<T>(m);
        rstd[c] = static_cast<T>(r);
        for (Size p = 0; p < count; p++)
            y[p * s.c + c] =
                static_cast<T>((x[p * s.c + c] - m) * r * (gamma ? gamma[c] : T(1)) + (beta ? beta[c] : T(0)));
    });
}

template <class T>
void batch_norm_plain_backward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* mean,
                               const T* rstd, const T* dy, T* dx, bool accumulate_dx, T* dgamma, bool accumulate_dgamma,
                               T* dbeta, bool accumulate_dbeta) {
    for_each(stream, s.c, [&](int c) {
        const Size count = s.pixels();
        const double m = mean[c], r = rstd[c], g = gamma ? gamma[c] : T(1);
        double sum = 0, dot = 0;  // of dy, and of dy with the normalised x
        for (Size p = 0; p < count; p++) sum += dy[p * s.c + c], dot += dy[p * s.c + c] * ((x[p * s.c + c] - m) * r);
        if (dx)
            for (Size p = 0; p < count; p++) {
                const double hat = (x[p * s.c + c] - m) * r;
                const double d = dy[p * s.c + c] - (sum + hat * dot) / static_cast<double>(count);
                put(dx[p * s.c + c], g * r * d, accumulate_dx);
            }
        if (dgamma) put(dgamma[c], dot, accumulate_dgamma);
        if (dbeta) put(dbeta[c], sum, accumulate_dbeta);
    });
}

template <class T>
void batch_norm_plain_running(const Stream&, const NormShape& s, const T* mean, const T* rstd, T* running_mean,
                              T* running_var) {
    const double n = static_cast<double>(s.count);
    for (int c = 0; c < s.channels; c++) {
        const double r = rstd[c], m = mean[c];
        // Rounding may leave a constant channel's variance a little below zero.
        const double raw = 1 / (r * r) - s.eps, variance = raw > 0 ? raw : 0.0;
        const double unbiased = s.count > 1 ? variance * n / (n - 1) : variance;
        running_mean[c] = static_cast<T>((1 - s.momentum) * running_mean[c] + s.momentum * m);
        running_var[c] = static_cast<T>((1 - s.momentum) * running_var[c] + s.momentum * unbiased);
    }
}

namespace {

/// The part of a pooling window that lies inside the image.
struct Inside {
    int y0, y1, x0, x1;
    Inside(const PoolShape& s, int oy, int ox)
        : y0(std::max(oy * s.stride - s.padding, 0)),
          y1(std::min(oy * s.stride - s.padding + s.k, s.x.h)),
          x0(std::max(ox * s.stride - s.padding, 0)),
          x1(std::min(ox * s.stride - s.padding + s.k, s.x.w)) {}
    int count() const { return (y1 - y0) * (x1 - x0); }
};

}  // namespace

template <class T>
void avg_pool_plain_forward(const Stream& stream, const PoolShape& s, const T* x, T* y) {
    for_each(stream, s.x.n, [&](int n) {
        for (int oy = 0; oy < s.out_h(); oy++)
            for (int ox = 0; ox < s.out_w(); ox++)
                for (int c = 0; c < s.x.c; c++) {
                    const Inside in(s, oy, ox);
                    double sum = 0;
                    for (int iy = in.y0; iy < in.y1; iy++)
                        for (int ix = in.x0; ix < in.x1; ix++)
                            sum += x[((Size(n) * s.x.h + iy) * s.x.w + ix) * s.x.c + c];
                    y[((Size(n) * s.out_h() + oy) * s.out_w() + ox) * s.x.c + c] = static_cast<T>(sum / in.count());
                }
    });
}

template <class T>
void avg_pool_plain_backward(const Stream& stream, const PoolShape& s, const T* dy, T* dx, bool accumulate) {
    for_each(stream, s.x.n, [&](int n) {
        for (int iy = 0; iy < s.x.h; iy++)
            for (int ix = 0; ix < s.x.w; ix++)
                for (int c = 0; c < s.x.c; c++) {
                    double sum = 0;  // over the windows that hold (iy, ix)
                    const int oy_end = std::min(s.out_h(), (iy + s.padding) / s.stride + 1);
                    const int ox_end = std::min(s.out_w(), (ix + s.padding) / s.stride + 1);
                    for (int oy = std::max(0, (iy + s.padding - s.k) / s.stride); oy < oy_end; oy++)
                        for (int ox = std::max(0, (ix + s.padding - s.k) / s.stride); ox < ox_end; ox++) {
                            const Inside in(s, oy, ox);
                            if (iy < in.y0 || iy >= in.y1 || ix < in.x0 || ix >= in.x1) continue;
                            sum += static_cast<double>(dy[((Size(n) * s.out_h() + oy) * s.out_w() + ox) * s.x.c + c]) /
                                   in.count();
                        }
                    put(dx[((Size(n) * s.x.h + iy) * s.x.w + ix) * s.x.c + c], sum, accumulate);
                }
    });
}

template <class T>
void global_avg_pool_forward(const Stream&, const Image& s, const T* x, T* pooled) {
    const Size pixels = Size(s.h) * s.w;
    for (int n = 0; n < s.n; n++)
        for (int c = 0; c < s.c; c++) {
            double sum = 0;
            for (Size p = 0; p < pixels; p++) sum += x[(n * pixels + p) * s.c + c];
            pooled[Size(n) * s.c + c] = static_cast<T>(sum / static_cast<double>(pixels));
        }
}
template <class T>
void global_avg_pool_backward(const Stream&, const Image& s, const T* dpooled, T* dx, bool accumulate) {
    const Size pixels = Size(s.h) * s.w;
    for (int n = 0; n < s.n; n++)
        for (Size p = 0; p < pixels; p++)
            for (int c = 0; c < s.c; c++)
                put(dx[(n * pixels + p) * s.c + c], dpooled[Size(n) * s.c + c] / static_cast<double>(pixels),
                    accumulate);
}

#define NASCENT_PRIMITIVE(T)                                                                                          \
    template void relu_forward(const Stream&, Size, const T*, T*);                                                    \
    template void relu_backward(const Stream&, Size, const T*, const T*, T*, bool);                                   \
    template void add_forward(const Stream&, Size, const T*, const T*, T*);                                           \
    template void copy_or_add(const Stream&, Size, const T*, T*, bool);                                               \
    template void conv_plain_forward(const Stream&, const ConvShape&, const T*, const T*, T*);                        \
    template void conv_plain_backward(const Stream&, const ConvShape&, const T*, const T*, const T*, T*, bool, T*,    \
                                      bool);                                                                          \
    template void batch_norm_plain_forward(const Stream&, const Image&, const T*, const T*, const T*, double, T*, T*, \
                                           T*);                                                                       \
    template void batch_norm_plain_backward(const Stream&, const Image&, const T*, const T*, const T*, const T*,      \
                                            const T*, T*, bool, T*, bool, T*, bool);                                  \
    template void batch_norm_plain_running(const Stream&, const NormShape&, const T*, const T*, T*, T*);              \
    template void avg_pool_plain_forward(const Stream&, const PoolShape&, const T*, T*);                              \
    template void avg_pool_plain_backward(const Stream&, const PoolShape&, const T*, T*, bool);                       \
    template void global_avg_pool_forward(const Stream&, const Image&, const T*, T*);                                 \
    template void global_avg_pool_backward(const Stream&, const Image&, const T*, T*, bool);
NASCENT_PRIMITIVE(float)
NASCENT_PRIMITIVE(double)
#undef NASCENT_PRIMITIVE

}  // namespace nascent::kernels::cpu
