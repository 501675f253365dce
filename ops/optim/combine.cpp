#include "ops/optim/combine.h"

#include "kernels/combine.h"
#include "ops/kernel_stream.h"

namespace nascent {

void combine(const ParameterStore& store, std::span<const int> ranges, const std::function<void*(int range)>& to,
             const std::array<CombineTerm, 3>& terms, const double* at) {
    with_type(store.dtype(), [&](auto zero) {
        using T = decltype(zero);
        kernels::CombineFactors factors{{}, at};
        std::vector<kernels::CombineRange<T>> list;
        for (int r : ranges) {
            const ParameterRange& range = store.ranges()[static_cast<std::size_t>(r)];
            kernels::CombineRange<T> c{static_cast<T*>(to(r)), {}, range.count};
            NASCENT_CHECK(c.y, runtime, "range '{}' has no place for a combination", range.name);
            for (std::size_t k = 0; k < terms.size(); k++) {
                factors.of[k] = terms[k].factor;
                if (at ? !terms[k].of : terms[k].factor == 0) continue;
                c.terms[k] = static_cast<const T*>(terms[k].of(r));
                NASCENT_CHECK(c.terms[k], runtime, "range '{}' has no gradient", range.name);
            }
            list.push_back(c);
        }
        kernels::combine<T>(kernel_stream(store.device()), factors, std::span<const kernels::CombineRange<T>>(list));
    });
}

void quotient_factors(const ParameterStore& store, const double* squares, const double* lr, bool twin,
                      double* factors) {
    kernels::quotient_factors(kernel_stream(store.device()), squares, lr, twin, factors);
}

}  // namespace nascent
