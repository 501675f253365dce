#include "ops/copy_tensors.h"

#include "kernels/copy.h"
#include "ops/kernel_stream.h"

namespace nascent {

void copy_tensors(std::span<const Tensor> from, std::span<const Tensor> to) {
    NASCENT_CHECK(from.size() == to.size(), runtime, "{} tensors to {} places", from.size(), to.size());
    std::vector<kernels::CopyItem> items;
    for (std::size_t i = 0; i < from.size(); i++) {
        NASCENT_CHECK(from[i].bytes() == to[i].bytes(), runtime, "{} bytes to a place of {}", from[i].bytes(),
                      to[i].bytes());
        items.push_back({to[i].data, from[i].data, from[i].bytes()});
    }
    if (!from.empty()) kernels::copy_list(kernel_stream(*from[0].device), items);
}

}  // namespace nascent
