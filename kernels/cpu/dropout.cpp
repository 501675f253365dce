#include "kernels/dropout.h"

#include "kernels/cpu/plain.h"
#include "kernels/dirichlet_math.h"

namespace nascent::kernels::cpu {

template <class T>
void dropout_mask(const Stream& stream, const DrawKey& key, Size size, double p, T* mask) {
    const int runs = static_cast<int>((size + 4095) / 4096);
    for_each(stream, runs, [&](int run) {
        for (Size i = Size(run) * 4096; i < std::min(size, Size(run + 1) * 4096); i++)
            mask[i] =
                uniforms(key, key.first + static_cast<std::uint32_t>(i)).first < p ? T(0) : static_cast<T>(1 / (1 - p));
    });
}

template <class T>
void multiply(const Stream&, Size size, const T* x, const T* mask, T* y, bool accumulate) {
    for (Size i = 0; i < size; i++) y[i] = accumulate ? y[i] + x[i] * mask[i] : x[i] * mask[i];
}

#define NASCENT_DROPOUT(T)                                                       \
    template void dropout_mask(const Stream&, const DrawKey&, Size, double, T*); \
    template void multiply(const Stream&, Size, const T*, const T*, T*, bool);
NASCENT_DROPOUT(float)
NASCENT_DROPOUT(double)
#undef NASCENT_DROPOUT

}  // namespace nascent::kernels::cpu
