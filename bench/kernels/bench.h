// What the kernels' benchmarks share: the machine's peaks, buffers, and how a rate is shown beside its peak.
#pragma once
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

#include "kernels/stream.h"

namespace nascent::bench {

/// Multiply-adds on registers alone, one thread, float32, with the kernels' instruction set; GFLOP/s.
double fma_peak();
/// c = a + s b over arrays far larger than the caches, ordinary stores; GB/s of the three arrays, as STREAM counts.
double triad_peak();

/// Everything runs on the calling thread.
inline constexpr kernels::Stream kOneThread{};

/// The pictures of a training step of the network that is measured: NAS-Bench-201, C = 16.
inline constexpr int kBatch = 64;
struct Stage {
    int size, channels;
    std::string text() const {
        return std::to_string(size) + "x" + std::to_string(size) + "x" + std::to_string(channels);
    }
};
inline constexpr Stage kStages[] = {{32, 16}, {16, 32}, {8, 64}};

/// Aligned memory; floats uniform in [-1, 1], so that every ReLU passes half. Buffers of equal size start at different
/// places within a page, as an arena's do.
class Buffer {
  public:
    explicit Buffer(std::size_t bytes);
    template <class T = float>
    T* as() const {
        return static_cast<T*>(data_);
    }
    static Buffer floats(std::size_t count, float low = -1, float high = 1);
    static Buffer zeros(std::size_t bytes);

  private:
    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> memory_;
    void* data_;
};

/// Counters GFLOP/s and of_fma: the rate and its part of fma_peak(). Per core: there is one thread.
void count_flops(benchmark::State& state, double flops_per_iteration);
/// Counters GB/s and of_triad. Bytes are those that must move, each input read once and each output written once.
void count_bytes(benchmark::State& state, double bytes_per_iteration);

void register_peaks();
void register_conv();
void register_chain();
void register_node();
void register_norm();
void register_head();
void register_sgd();
void register_primitive();

}  // namespace nascent::bench
