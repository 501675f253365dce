// CUDA's thread hierarchy on the calling thread: blocks one after another, a block's threads as fibers that take turns
// at barriers and warp collectives. For checking, not for speed. docs/emulator.md says what it finds.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <experimental/source_location>  // clang 14, which fuzzes, lacks what the other one needs
#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline constinit thread_local uint3 threadIdx{}, blockIdx{};
inline constinit thread_local dim3 blockDim{}, gridDim{};

namespace nascent::simt {

using Place = std::experimental::source_location;

/// A launch that CUDA would refuse, or a kernel that broke a rule; the message names the place and the thread.
class Error : public std::runtime_error {
  public:
    using runtime_error::runtime_error;
};

/// Where launches go in order. Null stands for a stream that does each at once; an emulated stream derives from this,
/// to do its work later or to record it in a graph.
class Stream {
  public:
    virtual ~Stream() = default;
    virtual void submit(std::function<void()> work) = 0;
};
using stream_t = Stream*;

struct Launch {
    dim3 grid, block;
    std::size_t shared_bytes = 0;  // of SIMT_DYNAMIC_SHARED
    stream_t stream = nullptr;
    Place where = Place::current();
};

/// The order in which the warps of a block, and the lanes of a warp, take their turns; reverse also starts with the
/// last block. Results must not depend on it. Of the calling thread's launches.
enum class Order { forward, reverse, shuffled };
void set_order(Order order, unsigned seed = 0);

/// Lets launches of a kernel ask for up to `bytes` of dynamic shared memory, which is more than 48 KiB, as
/// cudaFuncAttributeMaxDynamicSharedMemorySize does.
void allow_shared(const void* kernel, std::size_t bytes);
template <class... Params>
void allow_shared(void (*kernel)(Params...), std::size_t bytes) {
    allow_shared(reinterpret_cast<const void*>(kernel), bytes);
}

/// Throws Error for a launch that CUDA would refuse on compute capability 9.0; returns how many bytes of shared memory
/// a block may have.
std::size_t check_launch(const void* kernel, const Launch& at);
/// Runs every thread of the grid. Throws Error.
void run(const Launch& at, std::size_t shared_limit, const std::function<void()>& kernel);

/// A parameter's type without what __grid_constant__ (names.h) makes of it, a reference to the launch's copy.
template <class Param>
using Value = std::conditional_t<std::is_rvalue_reference_v<Param>, std::remove_cvref_t<Param>, Param>;

/// Launches a kernel, whose arguments are copied. Throws Error: at once for a launch that CUDA would refuse, and when
/// the stream does the work for a kernel that broke a rule.
template <class... Params>
void launch(void (*kernel)(Params...), const Launch& at, std::type_identity_t<Value<Params>>... arguments) {
    static_assert((std::is_trivially_copyable_v<Value<Params>> && ...), "CUDA copies a kernel's arguments bit by bit");
    static_assert((sizeof(Params) + ... + 0) <= 32764, "CUDA passes at most 32,764 bytes of arguments");
    const std::size_t limit = check_launch(reinterpret_cast<const void*>(kernel), at);
    auto work = [=, values = std::tuple<Value<Params>...>(arguments...)] {
        run(at, limit, [&] { std::apply(kernel, std::move(values)); });  // const: copied, or bound to
    };
    at.stream ? at.stream->submit(work) : work();
}

// What follows is for a kernel's threads.

/// Waits for the whole block.
void sync_block(const Place& at);
unsigned lane();

/// What each lane of a warp brought to a collective.
struct alignas(64) Slot {
    char bytes[64];
};
/// Leaves `size` bytes, waits for all lanes of `mask` and returns the slots of 32 lanes, of which those in the mask are
/// filled; they hold until the lane's next collective. Lane `source`, if there is one, must be in the mask.
const Slot* exchange(unsigned mask, const void* value, std::size_t size, const char* what, const Place& at,
                     int source = -1);

/// A block's variable in shared memory: red zones around, NaN in it at first.
void* shared(const void* key, const char* name, std::size_t size, std::size_t alignment);
void* dynamic_shared(std::size_t alignment);

void cp_async(void* to, const void* from, unsigned size, unsigned valid, const Place& at);
void cp_async_commit();
/// Waits until at most the `pending` latest groups are under way.
void cp_async_wait_all_but(int pending);
/// To ThreadSanitizer C++'s atomic_thread_fence, both release and acquire: what a thread did before a fence is seen by
/// who reads an atomic that the thread changed behind it, and passes a fence then. Nothing without ThreadSanitizer.
void fence();
/// The calling thread reads and changes the atomic at p.
void note_atomic(const void* p);
/// Fails unless p is a multiple of `alignment` and, for in_shared, in shared memory.
void require_aligned(const void* p, std::size_t alignment, bool in_shared, const char* what, const Place& at);

template <class T>
std::array<T, 32> gather(unsigned mask, const T& value, const char* what, const Place& at) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(Slot));
    const Slot* slots = exchange(mask, &value, sizeof(T), what, at);
    std::array<T, 32> all;
    for (int i = 0; i < 32; i++) std::memcpy(&all[i], slots[i].bytes, sizeof(T));
    return all;
}
template <class T>
T shuffle(unsigned mask, const T& value, unsigned source, const char* what, const Place& at) {
    static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 2));
    T result;
    const Slot* all = exchange(mask, &value, sizeof(T), what, at, static_cast<int>(source));
    std::memcpy(&result, all[source].bytes, sizeof(T));
    return result;
}

// The names that cuda.cuh has too.

/// p as a V, for accesses of 8 or 16 bytes at once; p must be a multiple of sizeof(V).
template <class V, class T>
auto aligned(T* p, const Place& at = Place::current()) {
    require_aligned(p, alignof(V), false, "aligned", at);
    return reinterpret_cast<std::conditional_t<std::is_const_v<T>, const V, V>*>(p);
}

/// Starts copying 4, 8 or 16 bytes to shared memory, the first `valid` from global memory and then zeros. The target
/// holds them after commit and wait, for other threads after a barrier too. Here it is NaN until the wait, which
/// copies.
template <int Bytes>
void cp_async(void* to, const void* from, int valid = Bytes, const Place& at = Place::current()) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
    cp_async(to, from, Bytes, static_cast<unsigned>(valid), at);
}
template <int Pending>
void cp_async_wait() {
    cp_async_wait_all_but(Pending);
}

/// Loads Count 8x8 matrices of 16-bit elements from shared memory: lane 8 i + r gives the address of row r of matrix i.
/// result[i] of a lane: elements 2 (lane % 4) and the next of row lane / 4; Transposed: of column lane / 4. (PTX
/// ldmatrix.) As 8x4 matrices of 32-bit elements: element lane % 4 of row lane / 4.
template <int Count, bool Transposed = false>
void ldmatrix(unsigned (&result)[Count], const void* row, const Place& at = Place::current()) {
    static_assert(Count == 1 || Count == 2 || Count == 4);
    if (lane() < 8 * Count) require_aligned(row, 16, true, "ldmatrix", at);
    const auto rows = gather(~0u, static_cast<const std::uint16_t*>(row), "ldmatrix", at);
    const unsigned major = lane() / 4, minor = 2 * (lane() % 4);
    for (unsigned i = 0; i < Count; i++) {  // here and not in the .cpp, so that sanitizers see the reads
        const auto* r = &rows[8 * i];
        const std::uint16_t low = Transposed ? r[minor][major] : r[major][minor];
        const std::uint16_t high = Transposed ? r[minor + 1][major] : r[major][minor + 1];
        result[i] = low | static_cast<unsigned>(high) << 16;
    }
}

/// d (16x8, float) += a (16x16, bf16, by rows) * b (16x8, bf16, by columns); fragments as in PTX's mma.m16n8k16.
void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const Place& at = Place::current());
/// d (16x8, float) += a (16x8, tf32, by rows) * b (8x8, tf32, by columns); fragments as in PTX's mma.m16n8k8.
void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const Place& at = Place::current());
inline unsigned to_bits(float x) { return std::bit_cast<unsigned>(x); }
inline float from_bits(unsigned bits) { return std::bit_cast<float>(bits); }
/// Nearest bf16 (7 bits of fraction), ties to even; not-a-number is 0x7fff.
inline std::uint16_t to_bf16(float x) {
    const unsigned bits = std::bit_cast<unsigned>(x);
    if (x != x) return 0x7fff;
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
/// Nearest tf32 (10 bits of fraction), ties away from zero, as the bits of a float.
inline unsigned to_tf32(float x) {
    const unsigned bits = std::bit_cast<unsigned>(x);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}

}  // namespace nascent::simt

#define SIMT_SHARED(type, name, ...)                  \
    static const char name##_key_ = 0;                \
    using name##_type_ = type __VA_ARGS__;            \
    name##_type_& name = *static_cast<name##_type_*>( \
        ::nascent::simt::shared(&name##_key_, #name, sizeof(name##_type_), alignof(name##_type_)))
#define SIMT_DYNAMIC_SHARED(type, name) \
    type* const name = static_cast<type*>(::nascent::simt::dynamic_shared(alignof(type)))
// A launch runs on one thread: threads may be devices.
#define SIMT_GLOBAL(type, name, ...) static thread_local type name __VA_ARGS__
