#include "kernels/angle.h"

#include <cmath>

namespace nascent::kernels::cpu {

template <class T>
void angle_sums(const Stream& stream, std::span<const AngleRange<T>> ranges, double* sums, void*) {
    parallel(stream, static_cast<int>(ranges.size()), [&](int i, int) {
        const AngleRange<T>& r = ranges[static_cast<std::size_t>(i)];
        const T m0 = static_cast<T>(r.gap[0]), m1 = static_cast<T>(r.gap[1]);
        double dot = 0, before = 0, now = 0;
        for (std::size_t k = 0; k < r.count; k++) {
            const double a = r.before[k];
            const double b = r.gap[0] == 1 && r.gap[1] == 0 ? r.w[k] : std::fma(m1, r.v[k], m0 * r.w[k]);
            dot = std::fma(a, b, dot);
            before = std::fma(a, a, before);
            now = std::fma(b, b, now);
        }
        sums[3 * i] = dot;
        sums[3 * i + 1] = before;
        sums[3 * i + 2] = now;
    });
}
template <class T>
std::size_t angle_sums_workspace(const Stream&, std::span<const AngleRange<T>>) {
    return 0;
}

#define NASCENT_ANGLE(T)                                                                     \
    template void angle_sums(const Stream&, std::span<const AngleRange<T>>, double*, void*); \
    template std::size_t angle_sums_workspace(const Stream&, std::span<const AngleRange<T>>);
NASCENT_ANGLE(float)
NASCENT_ANGLE(double)
#undef NASCENT_ANGLE

}  // namespace nascent::kernels::cpu
