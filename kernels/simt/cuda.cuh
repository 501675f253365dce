// The CUDA side of simt.h: thin names over what the hardware does. emulator.h documents them.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <experimental/source_location>  // clang 14, which fuzzes, lacks what the other one needs
#include <stdexcept>
#include <string>
#include <type_traits>

#define SIMT_SHARED(type, name, ...) __shared__ __align__(16) type name __VA_ARGS__
#define SIMT_DYNAMIC_SHARED(type, name)                            \
    extern __shared__ __align__(16) unsigned char simt_dynamic_[]; \
    type* const name = reinterpret_cast<type*>(simt_dynamic_)

// A file's own variable in device memory, zero at first.
#define SIMT_GLOBAL(type, name, ...) static __device__ type name __VA_ARGS__

namespace nascent::simt {

using Place = std::experimental::source_location;
using stream_t = cudaStream_t;

class Error : public std::runtime_error {
  public:
    using runtime_error::runtime_error;
};

struct Launch {
    dim3 grid, block;
    std::size_t shared_bytes = 0;
    stream_t stream = nullptr;
    Place where = Place::current();
};

inline void check(cudaError_t status, const char* what, const Place& at) {
    if (status == cudaSuccess) return;
    throw Error(std::string(what) + " at " + at.file_name() + ":" + std::to_string(at.line()) + ": " +
                cudaGetErrorString(status));
}

template <class... Params>
void allow_shared(void (*kernel)(Params...), std::size_t bytes, const Place& at = Place::current()) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "allow_shared", at);
}

template <class... Params>
void launch(void (*kernel)(Params...), const Launch& at, std::type_identity_t<Params>... arguments) {
    static_assert((std::is_trivially_copyable_v<Params> && ...));
    kernel<<<at.grid, at.block, at.shared_bytes, at.stream>>>(arguments...);
    check(cudaGetLastError(), "launch", at.where);
}

template <class V, class T>
__device__ auto aligned(T* p) {
    return reinterpret_cast<std::conditional_t<std::is_const_v<T>, const V, V>*>(p);
}

__device__ inline unsigned shared_address(const void* p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); }

template <int Bytes>
__device__ void cp_async(void* to, const void* from, int valid = Bytes) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
    if constexpr (Bytes == 16)  // past the first cache, which only whole 16 bytes can be
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(Bytes),
                     "r"(valid)
                     : "memory");
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending>
__device__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

template <int Count, bool Transposed = false>
__device__ void ldmatrix(unsigned (&r)[Count], const void* row) {
    static_assert(Count == 1 || Count == 2 || Count == 4);
    const unsigned at = shared_address(row);
    if constexpr (Count == 1 && !Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(at) : "memory");
    if constexpr (Count == 1 && Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(at) : "memory");
    if constexpr (Count == 2 && !Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(at)
                     : "memory");
    if constexpr (Count == 2 && Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(at)
                     : "memory");
    if constexpr (Count == 4 && !Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
    if constexpr (Count == 4 && Transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
}

__device__ inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline unsigned to_bits(float x) { return __float_as_uint(x); }
__device__ inline float from_bits(unsigned bits) { return __uint_as_float(bits); }
__device__ inline std::uint16_t to_bf16(float x) {
    std::uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
__device__ inline unsigned to_tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

}  // namespace nascent::simt
