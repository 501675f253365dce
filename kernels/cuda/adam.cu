#include <cmath>
#include <vector>

#include "kernels/adam.h"
#include "kernels/common/range_list.cuh"

namespace nascent::kernels::gpu {
namespace {

template <class T>
struct AdamItem {
    T *w, *m, *v;
    const T* g;
    std::size_t count;
    T rate, root;
    const double* correction;  // null: rate and root
};
template <class T>
struct AdamNumbers {
    T beta1, rest1, beta2, rest2, eps, decay;
    Clip clip;
};

template <class T, int Capacity>
__global__ void __launch_bounds__(kThreads)
    adam_kernel(const RangeList<AdamItem<T>, Capacity> __grid_constant__ list, AdamNumbers<T> k) {
    const Part part = part_of_block(list);
    const AdamItem<T> r = list.items[part.item];
    const T scale = static_cast<T>(clip_factor(k.clip));
    const T rate = r.correction ? static_cast<T>(-r.correction[0]) : r.rate,
            root = r.correction ? static_cast<T>(r.correction[1]) : r.root;
    for_elements<T>(part, all_aligned(r.w, r.m, r.v, r.g), [&](auto width, std::size_t at) {
        constexpr int n = decltype(width)::value;
        Pack<T, n> w = load<n>(r.w + at), m = load<n>(r.m + at), v = load<n>(r.v + at);
        const Pack<T, n> g = load<n>(r.g + at);
        for (int i = 0; i < n; i++) {
            const T d = std::fma(k.decay, w.v[i], g.v[i] * scale);
            m.v[i] = std::fma(k.beta1, m.v[i], k.rest1 * d);
            v.v[i] = std::fma(k.beta2, v.v[i], k.rest2 * d * d);
            w.v[i] = std::fma(rate, m.v[i] / (std::sqrt(v.v[i]) / root + k.eps), w.v[i]);
        }
        store(r.w + at, w);
        store(r.m + at, m);
        store(r.v + at, v);
    });
}

}  // namespace

template <class T>
void adam(const Stream& stream, const AdamStep& s, std::span<const AdamRange<T>> ranges) {
    std::vector<AdamItem<T>> items;
    for (const AdamRange<T>& r : ranges) {
        if (r.count == 0) continue;
        const AdamCorrection correction(s, r.step);
        items.push_back({r.w, r.m, r.v, r.g, r.count, static_cast<T>(-correction.rate), static_cast<T>(correction.root),
                         r.correction});
    }
    const AdamNumbers<T> numbers{static_cast<T>(s.beta1),
                                 static_cast<T>(1 - s.beta1),
                                 static_cast<T>(s.beta2),
                                 static_cast<T>(1 - s.beta2),
                                 static_cast<T>(s.eps),
                                 static_cast<T>(s.decay),
                                 s.clip};
    for_lists(std::span<const AdamItem<T>>(items), [&]<int N>(const RangeList<AdamItem<T>, N>& list, unsigned grid) {
        simt::launch(adam_kernel<T, N>, blocks(stream, dim3(grid)), list, numbers);
    });
}

template void adam(const Stream&, const AdamStep&, std::span<const AdamRange<float>>);
template void adam(const Stream&, const AdamStep&, std::span<const AdamRange<double>>);

}  // namespace nascent::kernels::gpu
