// Values of chains of blocks in PyTorch's layout.
#include <algorithm>

#include "nas/supernet/chain.h"
#include "nas/supernet/torch_layout.h"

namespace nascent {

Tensor ChainNet::tensor(const std::string& name) const {
    if (const int p = store_.find(name); p >= 0) return store_.raw(p);
    const auto found =
        std::find_if(store_.buffers().begin(), store_.buffers().end(), [&](const Buffer& b) { return b.name == name; });
    NASCENT_CHECK(found != store_.buffers().end(), runtime, "the network has no '{}'", name);
    return found->tensor;
}

void ChainNet::set(const std::string& name, std::span<const double> values) { set_torch(tensor(name), name, values); }

std::vector<double> ChainNet::torch_order(const std::string& name, const Tensor& values) const {
    return torch_values(tensor(name).shape, name, values);
}

std::vector<double> ChainNet::torch_order(int parameter, const void* host) const {
    return torch_values(store_.parameters()[static_cast<std::size_t>(parameter)].shape, store_.dtype(), host);
}

std::vector<double> ChainNet::get(const std::string& name) const { return torch_order(name, tensor(name)); }

}  // namespace nascent
