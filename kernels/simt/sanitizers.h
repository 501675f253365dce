// What the emulator tells AddressSanitizer and ThreadSanitizer; nothing without them. The emulator's own files are not
// instrumented for races (NASCENT_SIMT_TSAN is set instead): it is no racing program, the kernels may be.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

#if defined(NASCENT_SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void __tsan_write_range(void* address, unsigned long size);
}
#endif

namespace nascent::simt {

#if defined(NASCENT_SIMT_TSAN)
inline constexpr bool kRaces = true;
/// What happened before a release of a tag happened before what follows its acquisition.
inline void acquire(void* tag) { __tsan_acquire(tag); }
inline void release(void* tag) { __tsan_release(tag); }
inline void note_write(void* p, unsigned long size) { __tsan_write_range(p, size); }
/// While it lives, allocations and mappings of the emulator are no writes: its threads do not wait for each other.
struct Untracked {
    Untracked() { AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
    ~Untracked() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__); }
};
#else
inline constexpr bool kRaces = false;
inline void acquire(void*) {}
inline void release(void*) {}
inline void note_write(void*, unsigned long) {}
struct Untracked {
    Untracked() {}
};
#endif

}  // namespace nascent::simt
