#include "kernels/common/dense_passes.cuh"

namespace nascent::kernels::gpu {
NASCENT_DENSE(float)
}  // namespace nascent::kernels::gpu
