#include "nas/supernet/torch_layout.h"

#include "engine/streams/device.h"

namespace nascent {

std::size_t stored_index(const Shape& s, std::size_t i) {
    if (s.rank() < 3) return i;
    const auto area = static_cast<std::size_t>(s[0] * s[1]), in = static_cast<std::size_t>(s[2]);
    const std::size_t tap = i % area, channel = i / area;
    if (s.rank() == 3) return tap * in + channel;
    return (tap * in + channel % in) * static_cast<std::size_t>(s[3]) + channel / in;
}

void set_torch(const Tensor& to, const std::string& name, std::span<const double> values) {
    NASCENT_CHECK(values.size() == to.size(), runtime, "'{}' has {} elements, got {}", name, to.size(), values.size());
    with_type(to.dtype, [&](auto zero) {
        std::vector<decltype(zero)> host(values.size());
        for (std::size_t i = 0; i < values.size(); i++)
            host[stored_index(to.shape, i)] = static_cast<decltype(zero)>(values[i]);
        to.device->copy_in(to.data, host.data(), to.bytes());
    });
}

std::vector<double> torch_values(const Shape& shape, DType dtype, const void* host) {
    return with_type(dtype, [&](auto zero) {
        const auto* values = static_cast<const decltype(zero)*>(host);
        std::vector<double> result(shape.size());
        for (std::size_t i = 0; i < result.size(); i++) result[i] = values[stored_index(shape, i)];
        return result;
    });
}

std::vector<double> torch_values(const Shape& shape, const std::string& name, const Tensor& values) {
    NASCENT_CHECK(values.size() == shape.size(), runtime, "'{}' has {} elements, got {}", name, shape.size(),
                  values.size());
    std::vector<std::byte> host(values.bytes());
    values.device->copy_out(host.data(), values.data, host.size());
    return torch_values(shape, values.dtype, host.data());
}

}  // namespace nascent
