// All changes of scripts/mutate_barriers.py in one build: every barrier, wait, fence and shuffle of the kernels over
// the emulator asks whether it is the one that NASCENT_LEFT_OUT names, as `file:line:removed` or `file:line:mask`.
// Included before the .cu files by scripts/barrier_compiler.sh.
#pragma once
#include <cstdlib>
#include <string>

#include "kernels/simt/simt.h"

namespace left_out {

struct Spot {
    std::string file;
    unsigned line = 0;  // 0: none
    bool mask = false;  // lane 0 is left out of the mask, and not the whole call

    Spot() {
        const char* text = std::getenv("NASCENT_LEFT_OUT");
        if (!text || !*text) return;
        const std::string all = text;
        const std::size_t colon = all.find(':');
        file = '/' + all.substr(0, colon);
        line = static_cast<unsigned>(std::stoul(all.substr(colon + 1)));
        mask = all.ends_with(":mask");
    }
};
inline const Spot spot;

inline bool is(const char* path, unsigned line, bool mask = false) {
    return line == spot.line && mask == spot.mask && std::string(path).ends_with(spot.file);
}
inline unsigned lanes(unsigned mask, const char* path, unsigned line) {
    return is(path, line, true) ? mask & ~1u : mask;
}

}  // namespace left_out

namespace nascent::simt {

inline void commit_unless_left_out(const char* path, unsigned line) {
    if (!left_out::is(path, line)) cp_async_commit();
}
template <unsigned Line>
struct WaitAt {
    template <int Pending>
    static void wait(const char* path = __builtin_FILE()) {
        if (!left_out::is(path, Line)) cp_async_wait<Pending>();
    }
};

}  // namespace nascent::simt

#define LEFT_OUT left_out::is(__FILE__, __LINE__)
#define LANES(mask) left_out::lanes(mask, __FILE__, __LINE__)
#define __syncthreads() (LEFT_OUT ? static_cast<void>(0) : __syncthreads())
#define __syncwarp(...) (LEFT_OUT ? static_cast<void>(0) : __syncwarp(__VA_ARGS__))
#define __threadfence() (LEFT_OUT ? static_cast<void>(0) : __threadfence())
// Left out, each thread keeps what it has.
#define __shfl_sync(mask, v, source) (LEFT_OUT ? (v) : __shfl_sync(LANES(mask), v, source))
#define __shfl_xor_sync(mask, v, with) (LEFT_OUT ? (v) : __shfl_xor_sync(LANES(mask), v, with))
#define __ballot_sync(mask, v) (LEFT_OUT ? (v) : __ballot_sync(LANES(mask), v))
#define cp_async_commit() commit_unless_left_out(__FILE__, __LINE__)
#define cp_async_wait WaitAt<__LINE__>::wait
