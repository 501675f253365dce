// Running statistics of all of a cell's batch-norms: a block for each.
#include <algorithm>
#include <cmath>

#include "kernels/common/pack.cuh"
#include "kernels/mixed.h"

namespace nascent::kernels::gpu {
namespace {

constexpr std::size_t kNorms = 512;  // of a launch
constexpr unsigned kBlock = 64;

template <class Item>
struct NormList {
    Item norms[kNorms];
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    update_kernel(double eps, double momentum, const NormList<RunningNorm<T>> __grid_constant__ list) {
    const RunningNorm<T>& s = list.norms[blockIdx.x];
    const double n = static_cast<double>(s.count);
    for (int c = static_cast<int>(threadIdx.x); c < s.c; c += static_cast<int>(kBlock)) {
        const double r = s.rstd[c];
        // Rounding may leave a constant channel's variance a little below zero.
        const double raw = 1 / (r * r) - eps, variance = raw > 0 ? raw : 0.0;
        const double unbiased = s.count > 1 ? variance * n / (n - 1) : variance;
        s.running_mean[c] = static_cast<T>((1 - momentum) * s.running_mean[c] + momentum * s.mean[c]);
        s.running_var[c] = static_cast<T>((1 - momentum) * s.running_var[c] + momentum * unbiased);
    }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    scales_kernel(double eps, const NormList<RunningScale<T>> __grid_constant__ list) {
    const RunningScale<T>& s = list.norms[blockIdx.x];
    for (int c = static_cast<int>(threadIdx.x); c < s.c; c += static_cast<int>(kBlock)) {
        const double a = 1 / std::sqrt(s.running_var[c] + eps);
        s.scale[c] = static_cast<T>(a);
        s.shift[c] = static_cast<T>(-s.running_mean[c] * a);
    }
}

/// f(list, launch) for each launch, usually one.
template <class Item, class F>
void for_norms(const Stream& stream, std::span<const Item> norms, F&& f) {
    while (!norms.empty()) {
        const std::size_t count = std::min(norms.size(), kNorms);
        NormList<Item> list = {};
        std::copy_n(norms.begin(), count, list.norms);
        f(list, simt::Launch{dim3(static_cast<unsigned>(count)), dim3(kBlock), 0,
                             static_cast<simt::stream_t>(stream.handle)});
        norms = norms.subspan(count);
    }
}

}  // namespace

template <class T>
void running_update(const Stream& stream, double eps, double momentum, std::span<const RunningNorm<T>> norms) {
    for_norms(stream, norms, [&](const auto& list, const simt::Launch& at) {
        simt::launch(update_kernel<T>, at, eps, momentum, list);
    });
}
template <class T>
void running_scales(const Stream& stream, double eps, std::span<const RunningScale<T>> norms) {
    for_norms(stream, norms,
              [&](const auto& list, const simt::Launch& at) { simt::launch(scales_kernel<T>, at, eps, list); });
}

#define NASCENT_MIXED_RUNNING(T)                                                                  \
    template void running_update(const Stream&, double, double, std::span<const RunningNorm<T>>); \
    template void running_scales(const Stream&, double, std::span<const RunningScale<T>>);
NASCENT_MIXED_RUNNING(float)
NASCENT_MIXED_RUNNING(double)
#undef NASCENT_MIXED_RUNNING

}  // namespace nascent::kernels::gpu
