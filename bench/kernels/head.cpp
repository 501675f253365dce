#include "kernels/head.h"

#include <vector>

#include "bench/kernels/bench.h"

namespace nascent::bench {
namespace {

using namespace kernels;

constexpr Image kLast{kBatch, 8, 8, 64};
constexpr int kClasses = 10;

struct Head {
    Buffer x = Buffer::floats(kLast.size()), dx = Buffer::zeros(kLast.size() * sizeof(float)),
           affine = Buffer::floats(5 * std::size_t{kLast.c}), pooled = Buffer::floats(std::size_t{kBatch} * kLast.c),
           dpooled = Buffer::floats(std::size_t{kBatch} * kLast.c), w = Buffer::floats(std::size_t{kClasses} * kLast.c),
           dw = Buffer::floats(std::size_t{kClasses} * kLast.c), bias = Buffer::floats(kClasses),
           logits = Buffer::floats(std::size_t{kBatch} * kClasses),
           dlogits = Buffer::floats(std::size_t{kBatch} * kClasses),
           probabilities = Buffer::floats(std::size_t{kBatch} * kClasses, 0, 1), loss = Buffer::floats(1),
           sums = Buffer::zeros(2 * std::size_t{kLast.c} * sizeof(double)),
           workspace{norm_sums_workspace(kOneThread, kLast, 1)};
    std::vector<int> labels;
    Head() {
        for (int i = 0; i < kBatch; i++) labels.push_back(i % kClasses);
    }
    const float* channel(int i) const { return affine.as() + i * kLast.c; }
};

void pool(benchmark::State& state, const Head& h) {
    for (auto _ : state) norm_relu_pool<float>(kOneThread, kLast, h.x.as(), h.channel(0), h.channel(1), h.pooled.as());
    count_bytes(state, static_cast<double>(kLast.size() * sizeof(float)));
}
void pool_sums(benchmark::State& state, const Head& h) {
    for (auto _ : state)
        norm_relu_pool_backward_sums<float>(kOneThread, kLast, h.x.as(), h.channel(0), h.channel(1), h.dpooled.as(),
                                            h.sums.as<double>(), h.workspace.as<void>());
    count_bytes(state, static_cast<double>(kLast.size() * sizeof(float)));
}
void pool_backward(benchmark::State& state, const Head& h) {
    for (auto _ : state)
        norm_relu_pool_backward<float>(kOneThread, kLast, h.x.as(), h.channel(0), h.channel(1), h.dpooled.as(),
                                       h.channel(2), h.channel(3), h.channel(4), h.dx.as(), false);
    count_bytes(state, static_cast<double>(2 * kLast.size() * sizeof(float)));
}
void linear(benchmark::State& state, const Head& h) {
    for (auto _ : state)
        linear_forward<float>(kOneThread, kBatch, kLast.c, kClasses, h.pooled.as(), h.w.as(), h.bias.as(),
                              h.logits.as());
    count_flops(state, 2.0 * kBatch * kLast.c * kClasses);
}
void linear_gradients(benchmark::State& state, const Head& h) {
    for (auto _ : state)
        linear_backward<float>(kOneThread, kBatch, kLast.c, kClasses, h.pooled.as(), h.w.as(), h.dlogits.as(),
                               h.dpooled.as(), false, h.dw.as(), false, h.bias.as(), false);
    count_flops(state, 4.0 * kBatch * kLast.c * kClasses);
}
void entropy(benchmark::State& state, const Head& h) {
    const Buffer workspace(cross_entropy_workspace(kOneThread, kBatch));
    for (auto _ : state)
        cross_entropy_forward<float>(kOneThread, kBatch, kClasses, h.logits.as(), h.labels.data(), 0, h.loss.as(),
                                     h.probabilities.as(), workspace.as<void>());
    state.SetItemsProcessed(state.iterations() * kBatch);
}
void entropy_gradient(benchmark::State& state, const Head& h) {
    for (auto _ : state)
        cross_entropy_backward<float>(kOneThread, kBatch, kClasses, h.probabilities.as(), h.labels.data(), 0,
                                      h.loss.as(), h.dlogits.as(), false);
    state.SetItemsProcessed(state.iterations() * kBatch);
}

}  // namespace

void register_head() {
    auto add = [](const char* name, void (*run)(benchmark::State&, const Head&)) {
        benchmark::RegisterBenchmark(name, [run](benchmark::State& state) {
            const Head h;
            run(state, h);
        })->Unit(benchmark::kMicrosecond);
    };
    add("head/norm_relu_pool/8x8x64", pool);
    add("head/norm_relu_pool_backward_sums/8x8x64", pool_sums);
    add("head/norm_relu_pool_backward/8x8x64", pool_backward);
    add("head/linear_forward/64x10", linear);
    add("head/linear_backward/64x10", linear_gradients);
    add("head/cross_entropy_forward/10", entropy);
    add("head/cross_entropy_backward/10", entropy_gradient);
}

}  // namespace nascent::bench
