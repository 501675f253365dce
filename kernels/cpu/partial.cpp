#include "kernels/partial.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/plain.h"

namespace nascent::kernels::cpu {
namespace {

/// Channels of a thread's own stretch of pixels. With the number of groups known the compiler makes vectors of it.
template <int Groups, class T>
void shuffle_pixels(Size from, Size to, int c, int groups, bool inverse, const T* x, int x_pixel, T* y, int y_pixel,
                    bool accumulate) {
    const int k = Groups ? Groups : groups, of = c / k;
    for (Size p = from; p < to; p++) {
        const T* in = x + p * static_cast<Size>(x_pixel);
        T* out = y + p * static_cast<Size>(y_pixel);
        for (int i = 0; i < of; i++)
            for (int g = 0; g < k; g++) {
                const int apart = g * of + i, mixed = i * k + g;
                T& to_channel = out[inverse ? apart : mixed];
                const T value = in[inverse ? mixed : apart];
                to_channel = accumulate ? to_channel + value : value;
            }
    }
}

}  // namespace

template <class T>
void channel_shuffle(const Stream& stream, Size pixels, int c, int groups, bool inverse, const T* x, int x_pixel, T* y,
                     int y_pixel, bool accumulate) {
    constexpr Size kRun = 256;
    const Chunks runs(static_cast<int>((pixels + kRun - 1) / kRun));
    parallel(stream, runs.count, [&](int chunk, int) {
        const Size from = static_cast<Size>(runs.begin(chunk)) * kRun;
        const Size to = std::min(pixels, static_cast<Size>(runs.end(chunk)) * kRun);
        auto with = [&]<int Groups>() {
            shuffle_pixels<Groups>(from, to, c, groups, inverse, x, x_pixel, y, y_pixel, accumulate);
        };
        if (groups == 4) return with.template operator()<4>();
        if (groups == 2) return with.template operator()<2>();
        with.template operator()<0>();
    });
}

template <class T>
void channel_permute(const Stream& stream, Size pixels, const ChannelOrder& order, bool inverse, const T* x,
                     int x_pixel, T* y, int y_pixel, bool accumulate) {
    constexpr Size kRun = 256;
    const Chunks runs(static_cast<int>((pixels + kRun - 1) / kRun));
    parallel(stream, runs.count, [&](int chunk, int) {
        const Size to = std::min(pixels, static_cast<Size>(runs.end(chunk)) * kRun);
        for (Size p = static_cast<Size>(runs.begin(chunk)) * kRun; p < to; p++)
            for (int i = 0; i < order.c; i++) {
                T& out = y[p * static_cast<Size>(y_pixel) + (inverse ? order.at[i] : i)];
                const T value = x[p * static_cast<Size>(x_pixel) + (inverse ? i : order.at[i])];
                out = accumulate ? out + value : value;
            }
    });
}

template <class T>
void edge_weights_forward(const Stream&, const EdgeRows& s, const T* weights, const T* betas, T* share, T* y) {
    int first = 0;
    for (int node = 0; node < s.nodes; node++) {
        const int count = s.first + node;
        const double largest = *std::max_element(betas + first, betas + first + count);
        double sum = 0;
        for (int e = first; e < first + count; e++) sum += std::exp(betas[e] - largest);
        for (int e = first; e < first + count; e++) share[e] = static_cast<T>(std::exp(betas[e] - largest) / sum);
        first += count;
    }
    for (int e = 0; e < s.edges(); e++, y += s.ops + 1) {
        for (int o = 0; o < s.ops; o++) y[o] = weights[e * s.ops + o] * share[e];
        y[s.ops] = share[e];
    }
}

template <class T>
void edge_weights_backward(const Stream&, const EdgeRows& s, const T* weights, const T* share, const T* dy, T* dweights,
                           bool accumulate_dweights, T* dbetas, bool accumulate_dbetas) {
    std::vector<double> dshare(static_cast<Size>(s.edges()));
    for (int e = 0; e < s.edges(); e++) {
        const T* row = dy + e * (s.ops + 1);
        double sum = row[s.ops];
        for (int o = 0; o < s.ops; o++) {
            sum += static_cast<double>(row[o]) * weights[e * s.ops + o];
            if (dweights) put(dweights[e * s.ops + o], static_cast<double>(row[o]) * share[e], accumulate_dweights);
        }
        dshare[static_cast<Size>(e)] = sum;
    }
    if (!dbetas) return;
    int first = 0;
    for (int node = 0; node < s.nodes; node++) {
        const int last = first + s.first + node;
        double dot = 0;
        for (int e = first; e < last; e++) dot += dshare[static_cast<Size>(e)] * share[e];
        for (int e = first; e < last; e++)
            put(dbetas[e], share[e] * (dshare[static_cast<Size>(e)] - dot), accumulate_dbetas);
        first = last;
    }
}

#define NASCENT_PARTIAL(T)                                                                                          \
    template void channel_shuffle(const Stream&, Size, int, int, bool, const T*, int, T*, int, bool);               \
    template void channel_permute(const Stream&, Size, const ChannelOrder&, bool, const T*, int, T*, int, bool);    \
    template void edge_weights_forward(const Stream&, const EdgeRows&, const T*, const T*, T*, T*);                 \
    template void edge_weights_backward(const Stream&, const EdgeRows&, const T*, const T*, const T*, T*, bool, T*, \
                                        bool);
NASCENT_PARTIAL(float)
NASCENT_PARTIAL(double)
#undef NASCENT_PARTIAL

}  // namespace nascent::kernels::cpu
