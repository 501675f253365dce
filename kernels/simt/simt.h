// What a kernel file (.cu) includes: nvcc sees CUDA through it, a plain C++20 compiler an emulator that runs a block's
// threads as fibers on the calling thread. docs/emulator.md says how to write a kernel for both.
//
//     SIMT_SHARED(float, tile, [18][18]);           instead of  __shared__ float tile[18][18];
//     SIMT_DYNAMIC_SHARED(float, row);              instead of  extern __shared__ float row[];
//     SIMT_GLOBAL(unsigned, count, [64]);           instead of  static __device__ unsigned count[64];
//     simt::launch(kernel<float>, {grid, block, bytes, stream}, arguments...);    instead of  kernel<<<...>>>(...)
//     simt::cp_async<16>(to, from), simt::ldmatrix, simt::mma_bf16, simt::mma_tf32    instead of PTX
#pragma once

#if defined(__CUDACC__)
#include "kernels/simt/cuda.cuh"
#else
#include "kernels/simt/emulator.h"
// Second: CUDA's own names over the emulator.
#include "kernels/simt/names.h"
#endif
