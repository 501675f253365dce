// The plain kernels behind every fused op's reference: written to be read, measured to see what fusing gains.
#include "kernels/primitive.h"

#include "bench/kernels/bench.h"
#include "kernels/conv_plain.h"
#include "kernels/pool_plain.h"

namespace nascent::bench {
namespace {

using namespace kernels;

constexpr Image kFirst{kBatch, 32, 32, 16};
constexpr std::size_t kSize = std::size_t{kBatch} * 32 * 32 * 16;
constexpr double kBytes = static_cast<double>(kSize * sizeof(float));

struct Tensors {
    Buffer x = Buffer::floats(kSize), y = Buffer::floats(kSize), dx = Buffer::floats(kSize),
           w = Buffer::floats(9 * 16 * 16), dw = Buffer::floats(9 * 16 * 16), channels = Buffer::floats(6 * 16, 0.5, 1);
    float* channel(int i) const { return channels.as() + 16 * i; }
};

void conv(benchmark::State& state, const Tensors& t, int k, bool backward) {
    for (auto _ : state) {
        if (backward)
            conv_plain_backward<float>(kOneThread, kFirst, same_window(k), 16, t.x.as(), t.w.as(), t.y.as(), t.dx.as(),
                                       false, t.dw.as(), false);
        else
            conv_plain_forward<float>(kOneThread, kFirst, same_window(k), 16, t.x.as(), t.w.as(), t.y.as());
    }
    count_flops(state, (backward ? 4.0 : 2.0) * static_cast<double>(kFirst.pixels()) * k * k * 16 * 16);
}

}  // namespace

void register_primitive() {
    auto add = [](const char* name, double bytes, void (*run)(const Tensors&)) {
        benchmark::RegisterBenchmark(name, [bytes, run](benchmark::State& state) {
            const Tensors t;
            for (auto _ : state) run(t);
            count_bytes(state, bytes);
        })->Unit(benchmark::kMicrosecond);
    };
    for (int k : {1, 3})
        for (bool backward : {false, true})
            benchmark::RegisterBenchmark(("primitive/plain_" + std::to_string(k) + "x" + std::to_string(k) +
                                          (backward ? "_backward" : "_forward"))
                                             .c_str(),
                                         [k, backward](benchmark::State& s) { conv(s, Tensors(), k, backward); })
                ->Unit(benchmark::kMicrosecond);
    add("primitive/relu_forward", 2 * kBytes,
        [](const Tensors& t) { relu_forward<float>(kOneThread, kSize, t.x.as(), t.y.as()); });
    add("primitive/relu_backward", 3 * kBytes,
        [](const Tensors& t) { relu_backward<float>(kOneThread, kSize, t.x.as(), t.y.as(), t.dx.as(), false); });
    add("primitive/add_forward", 3 * kBytes,
        [](const Tensors& t) { add_forward<float>(kOneThread, kSize, t.x.as(), t.y.as(), t.dx.as()); });
    add("primitive/copy_or_add", 3 * kBytes,
        [](const Tensors& t) { copy_or_add<float>(kOneThread, kSize, t.y.as(), t.dx.as(), true); });
    add("primitive/batch_norm_forward", 2 * kBytes, [](const Tensors& t) {
        batch_norm_plain_forward<float>(kOneThread, kFirst, t.x.as(), t.channel(0), t.channel(1), 1e-5, t.y.as(),
                                        t.channel(2), t.channel(3));
    });
    add("primitive/batch_norm_backward", 3 * kBytes, [](const Tensors& t) {
        batch_norm_plain_backward<float>(kOneThread, kFirst, t.x.as(), t.channel(0), t.channel(2), t.channel(3), false,
                                         t.y.as(), t.dx.as(), false, t.channel(4), false, t.channel(5), false);
    });
    add("primitive/avg_pool_forward", 2 * kBytes, [](const Tensors& t) {
        avg_pool_plain_forward<float>(kOneThread, {kFirst, 3, 1, 1}, t.x.as(), t.y.as());
    });
    add("primitive/avg_pool_backward", 2 * kBytes, [](const Tensors& t) {
        avg_pool_plain_backward<float>(kOneThread, {kFirst, 3, 1, 1}, t.y.as(), t.dx.as(), false);
    });
    add("primitive/global_avg_pool_forward", kBytes,
        [](const Tensors& t) { global_avg_pool_forward<float>(kOneThread, kFirst, t.x.as(), t.y.as()); });
    add("primitive/global_avg_pool_backward", kBytes,
        [](const Tensors& t) { global_avg_pool_backward<float>(kOneThread, kFirst, t.y.as(), t.dx.as(), false); });
}

}  // namespace nascent::bench
