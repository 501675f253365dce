#include "kernels/copy.h"

#include <cstring>

namespace nascent::kernels::cpu {

void copy_list(const Stream&, std::span<const CopyItem> items) {
    for (const CopyItem& i : items)
        if (i.count > 0) std::memcpy(i.to, i.from, i.count);
}

}  // namespace nascent::kernels::cpu
