// What the emulator tells AddressSanitizer and ThreadSanitizer; nothing without them. The emulator's own files are not
// instrumented for races (NASCENT_SIMT_TSAN is set instead): it is no racing program, the kernels may be.
#pragma once
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/tsan_interface.h>

extern "C" {
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void __tsan_write_range(void* address, unsigned long size);
}

namespace nascent::simt {

#if defined(NASCENT_SIMT_TSAN)
inline constexpr bool kRaces = true;
#else
inline constexpr bool kRaces = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddresses = true;
#else
inline constexpr bool kAddresses = false;
#endif

// What is behind `if constexpr` is not linked where the sanitizer is not.

/// What happened before a release of a tag happened before what follows its acquisition.
inline void acquire([[maybe_unused]] void* tag) {
    if constexpr (kRaces) __tsan_acquire(tag);
}
inline void release([[maybe_unused]] void* tag) {
    if constexpr (kRaces) __tsan_release(tag);
}
inline void note_write([[maybe_unused]] void* p, [[maybe_unused]] unsigned long size) {
    if constexpr (kRaces) __tsan_write_range(p, size);
}
/// While it lives, allocations and mappings of the emulator are no writes: its threads do not wait for each other.
struct Untracked {
    Untracked() {
        if constexpr (kRaces) AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    ~Untracked() {
        if constexpr (kRaces) AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    }
};

}  // namespace nascent::simt
