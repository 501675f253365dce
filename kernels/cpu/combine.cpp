#include "kernels/combine.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/plain.h"

namespace nascent::kernels::cpu {

void quotient_factors(const Stream&, const double* squares, const double* lr, bool twin, double* factors) {
    const double e = 0.01 / std::sqrt(*squares), quotient = *lr / (2 * e);
    const double all[9] = {1, e, 0, 1, -e, 0, 1, -quotient, twin ? 0 : quotient};
    std::copy(all, all + 9, factors);
}

template <class T>
void combine(const Stream& stream, const CombineFactors& f, std::span<const CombineRange<T>> ranges) {
    const std::vector<RangeBlock> blocks = blocks_of(ranges);
    const double* factor = f.at ? f.at : f.of;
    for_each(stream, static_cast<int>(blocks.size()), [&](int chunk) {
        const RangeBlock& b = blocks[static_cast<Size>(chunk)];
        const CombineRange<T>& r = ranges[b.range];
        for (Size i = b.begin; i < b.end; i++) {
            double sum = 0;
            for (int k = 0; k < 3; k++)
                if (factor[k] != 0 && r.terms[k]) sum += factor[k] * static_cast<double>(r.terms[k][i]);
            r.y[i] = static_cast<T>(sum);
        }
    });
}

template void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<float>>);
template void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<double>>);

}  // namespace nascent::kernels::cpu
