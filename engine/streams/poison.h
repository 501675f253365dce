// Memory that AddressSanitizer takes for closed; nothing in a build without it.
#pragma once
#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace nascent {

inline void poison_now([[maybe_unused]] void* p, [[maybe_unused]] std::size_t bytes, [[maybe_unused]] bool closed) {
#ifdef __SANITIZE_ADDRESS__
    closed ? __asan_poison_memory_region(p, bytes) : __asan_unpoison_memory_region(p, bytes);
#endif
}

}  // namespace nascent
