// Values of DARTS networks in PyTorch's layout.
#include <algorithm>

#include "nas/supernet/darts.h"

namespace nascent {
namespace {

/// Index into the stored (kh, kw, in, out), or (k, k, c) of a depthwise convolution, of element i of PyTorch's.
std::size_t stored_index(const Shape& s, std::size_t i) {
    if (s.rank() < 3) return i;
    const auto area = static_cast<std::size_t>(s[0] * s[1]), in = static_cast<std::size_t>(s[2]);
    const std::size_t tap = i % area, channel = i / area;
    if (s.rank() == 3) return tap * in + channel;
    return (tap * in + channel % in) * static_cast<std::size_t>(s[3]) + channel / in;
}

}  // namespace

Tensor DartsNet::tensor(const std::string& name) const {
    if (const int p = store_.find(name); p >= 0) return store_.raw(p);
    const auto found =
        std::find_if(store_.buffers().begin(), store_.buffers().end(), [&](const Buffer& b) { return b.name == name; });
    NASCENT_CHECK(found != store_.buffers().end(), runtime, "the network has no '{}'", name);
    return found->tensor;
}

void DartsNet::set(const std::string& name, std::span<const double> values) {
    const Tensor t = tensor(name);
    NASCENT_CHECK(values.size() == t.size(), runtime, "'{}' has {} elements, got {}", name, t.size(), values.size());
    with_type(t.dtype, [&](auto zero) {
        std::vector<decltype(zero)> host(values.size());
        for (std::size_t i = 0; i < values.size(); i++)
            host[stored_index(t.shape, i)] = static_cast<decltype(zero)>(values[i]);
        t.device->copy_in(t.data, host.data(), t.bytes());
    });
}

std::vector<double> DartsNet::torch_order(const std::string& name, const Tensor& values) const {
    const Tensor like = tensor(name);
    NASCENT_CHECK(values.size() == like.size(), runtime, "'{}' has {} elements, got {}", name, like.size(),
                  values.size());
    std::vector<double> result(values.size());
    with_type(values.dtype, [&](auto zero) {
        std::vector<decltype(zero)> host(values.size());
        values.device->copy_out(host.data(), values.data, values.bytes());
        for (std::size_t i = 0; i < host.size(); i++) result[i] = host[stored_index(like.shape, i)];
    });
    return result;
}

std::vector<double> DartsNet::torch_order(int parameter, const void* host) const {
    const Shape& shape = store_.parameters()[static_cast<std::size_t>(parameter)].shape;
    return with_type(store_.dtype(), [&](auto zero) {
        const auto* values = static_cast<const decltype(zero)*>(host);
        std::vector<double> result(shape.size());
        for (std::size_t i = 0; i < result.size(); i++) result[i] = values[stored_index(shape, i)];
        return result;
    });
}

std::vector<double> DartsNet::get(const std::string& name) const { return torch_order(name, tensor(name)); }

}  // namespace nascent
