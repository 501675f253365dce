#include "kernels/combine.h"

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/plain.h"

namespace nascent::kernels::cpu {

template <class T>
void combine(const Stream& stream, const CombineFactors& f, std::span<const CombineRange<T>> ranges) {
    const std::vector<RangeBlock> blocks = blocks_of(ranges);
    for_each(stream, static_cast<int>(blocks.size()), [&](int chunk) {
        const RangeBlock& b = blocks[static_cast<Size>(chunk)];
        const CombineRange<T>& r = ranges[b.range];
        for (Size i = b.begin; i < b.end; i++) {
            double sum = 0;
            for (int k = 0; k < 3; k++)
                if (f.of[k] != 0) sum += f.of[k] * static_cast<double>(r.terms[k][i]);
            r.y[i] = static_cast<T>(sum);
        }
    });
}

template void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<float>>);
template void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<double>>);

}  // namespace nascent::kernels::cpu
