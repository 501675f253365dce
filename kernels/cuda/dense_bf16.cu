#include "kernels/common/dense_passes.cuh"

namespace nascent::kernels::gpu {
NASCENT_DENSE(BFloat16)
}  // namespace nascent::kernels::gpu
