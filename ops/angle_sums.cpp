#include "ops/angle_sums.h"

#include "kernels/angle.h"
#include "ops/kernel_stream.h"

namespace nascent {

std::vector<std::array<double, 3>> angle_sums(const ParameterStore& before, const ParameterStore& now,
                                              const Sgd* optimizer) {
    const std::size_t count = now.parameters().size();
    NASCENT_CHECK(
        before.parameters().size() == count && before.dtype() == now.dtype() && &before.device() == &now.device(),
        runtime, "angle between stores of {} and {} parameters, or of other types or devices",
        before.parameters().size(), count);
    std::vector<std::array<double, 3>> sums(count);
    Device& device = now.device();
    with_type(now.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<kernels::AngleRange<T>> ranges;
        for (std::size_t p = 0; p < count; p++) {
            const Parameter& meta = now.parameters()[p];
            NASCENT_CHECK(before.parameters()[p].shape == meta.shape, runtime, "parameter '{}' has another shape",
                          meta.name);
            kernels::AngleRange<T> r{before.raw(static_cast<int>(p)).template as<T>(),
                                     now.raw(static_cast<int>(p)).template as<T>(),
                                     now.raw_momentum(static_cast<int>(p)).template as<T>(), meta.shape.size()};
            double m[4];
            if (optimizer && optimizer->pending(meta.range, m, optimizer->decays(static_cast<int>(p))))
                r.gap[0] = m[0], r.gap[1] = m[1];
            ranges.push_back(r);
        }
        const kernels::Stream stream = kernel_stream(device);
        const std::size_t bytes = kernels::angle_sums_workspace<T>(stream, ranges);
        Arena scratch(device, bytes + count * sizeof(sums[0]) + (std::size_t{1} << 21));
        auto* to = static_cast<double*>(scratch.allocate(count * sizeof(sums[0])));
        kernels::angle_sums<T>(stream, ranges, to, scratch.allocate(bytes));
        device.copy_out(sums.data(), to, count * sizeof(sums[0]));
    });
    return sums;
}

}  // namespace nascent
