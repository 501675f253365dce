// The driver's virtual memory: reservations, memory, and which lies where.
#include <cuda.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>

#include "tests/cuda_device/fake_cuda.h"

using namespace nascent::fake_cuda;

namespace {

constexpr std::size_t kGrain = std::size_t{2} << 20;

CUresult refused() {
    state().wrong++;
    return CUDA_ERROR_INVALID_VALUE;
}
/// What the function does, unless it was told to fail.
template <class F>
CUresult call(const char* function, F&& work) {
    if (const int code = told(function)) return static_cast<CUresult>(code);
    return work();
}

struct Memory {
    explicit Memory(std::size_t size) : bytes(size) { state().memory -= bytes, state().allocated++; }
    ~Memory() { state().memory += bytes, state().allocated--; }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    std::size_t bytes;
};
using Mappings = std::map<CUdeviceptr, std::shared_ptr<Memory>>;
struct Reservation {
    std::size_t bytes;
    Mappings mappings;
};
std::map<CUdeviceptr, Reservation> reservations;
std::map<CUmemGenericAllocationHandle, std::shared_ptr<Memory>> handles;
CUmemGenericAllocationHandle handle_count = 0;

/// The mappings of the reservation that [at, at + bytes) lies in.
Mappings* mappings_around(CUdeviceptr at, std::size_t bytes) {
    auto found = reservations.upper_bound(at);
    if (found == reservations.begin()) return nullptr;
    --found;
    return at + bytes <= found->first + found->second.bytes ? &found->second.mappings : nullptr;
}
bool protect(CUdeviceptr at, std::size_t bytes, int protection) {
    return mprotect(reinterpret_cast<void*>(at), bytes, protection) == 0;
}

}  // namespace

extern "C" {

CUresult cuMemAddressReserve(CUdeviceptr* p, size_t size, size_t, CUdeviceptr, unsigned long long) {
    return call(__func__, [&] {
        void* at = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
        *p = reinterpret_cast<CUdeviceptr>(at);
        reservations[*p] = {size, {}};
        state().reserved++;
        return CUDA_SUCCESS;
    });
}
CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size) {
    const auto found = reservations.find(ptr);
    if (found == reservations.end() || found->second.bytes != size || !found->second.mappings.empty()) return refused();
    munmap(reinterpret_cast<void*>(ptr), size);
    reservations.erase(found);
    state().reserved--;
    return CUDA_SUCCESS;
}
CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t size, const CUmemAllocationProp* prop,
                     unsigned long long) {
    return call(__func__, [&] {
        if (size == 0 || size % kGrain != 0 || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
            prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE || prop->location.id != 0)
            return refused();
        if (size > state().memory) return CUDA_ERROR_OUT_OF_MEMORY;
        *handle = ++handle_count;
        handles[*handle] = std::make_shared<Memory>(size);
        return CUDA_SUCCESS;
    });
}
CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
    return handles.erase(handle) == 1 ? CUDA_SUCCESS : refused();
}
CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long) {
    return call(__func__, [&] {
        Mappings* const mappings = mappings_around(ptr, size);
        const auto memory = handles.find(handle);
        if (!mappings || memory == handles.end() || offset != 0 || size != memory->second->bytes) return refused();
        const auto behind = mappings->lower_bound(ptr);
        if (behind != mappings->end() && behind->first < ptr + size) return refused();
        if (behind != mappings->begin()) {
            const auto& [at, before] = *std::prev(behind);
            if (at + before->bytes > ptr) return refused();
        }
        // What somebody else left there.
        if (!protect(ptr, size, PROT_READ | PROT_WRITE)) return CUDA_ERROR_OUT_OF_MEMORY;
        std::memset(reinterpret_cast<void*>(ptr), 0xCD, size);
        protect(ptr, size, PROT_NONE);
        mappings->emplace(ptr, memory->second);
        state().mapped++;
        return CUDA_SUCCESS;
    });
}
CUresult cuMemUnmap(CUdeviceptr ptr, size_t size) {
    Mappings* const mappings = mappings_around(ptr, size);
    if (!mappings) return refused();
    const auto found = mappings->find(ptr);
    if (found == mappings->end() || found->second->bytes != size) return refused();
    protect(ptr, size, PROT_NONE);
    mappings->erase(found);
    state().mapped--;
    return CUDA_SUCCESS;
}
CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc* desc, size_t count) {
    return call(__func__, [&] {
        const Mappings* const mappings = mappings_around(ptr, size);
        if (!mappings || !mappings->contains(ptr) || mappings->at(ptr)->bytes != size || count != 1 ||
            desc->location.type != CU_MEM_LOCATION_TYPE_DEVICE || desc->location.id != 0 ||
            desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            return refused();
        return protect(ptr, size, PROT_READ | PROT_WRITE) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    });
}
CUresult cuGetErrorString(CUresult error, const char** text) {
    static char buffer[32];
    std::snprintf(buffer, sizeof buffer, "driver's error %d", static_cast<int>(error));
    *text = buffer;
    return CUDA_SUCCESS;
}

}  // extern "C"
