#include "kernels/node.h"

#include <string_view>
#include <vector>

#include "bench/kernels/bench.h"

namespace nascent::bench {
namespace {

using namespace kernels;

Image image_of(const Stage& s) { return {kBatch, s.size, s.size, s.channels}; }
double bytes(std::size_t floats) { return static_cast<double>(floats * sizeof(float)); }

/// terms: one letter each, n norm, p pool, s skip.
void combine(benchmark::State& state, const Image& i, std::string_view terms) {
    const Buffer y = Buffer::zeros(i.size() * sizeof(float)),
                 affine = Buffer::floats(2 * static_cast<std::size_t>(i.c));
    std::vector<Buffer> inputs;
    std::vector<NormTerm<float>> norms;
    std::vector<const float*> pools, skips;
    for (char t : terms) {
        inputs.push_back(Buffer::floats(i.size()));
        const float* x = inputs.back().as();
        if (t == 'n') norms.push_back({x, affine.as(), affine.as() + i.c});
        if (t == 'p') pools.push_back(x);
        if (t == 's') skips.push_back(x);
    }
    for (auto _ : state) node_combine<float>(kOneThread, i, norms, pools, skips, y.as());
    count_bytes(state, bytes(i.size() * (terms.size() + 1)));
}

void input_gradient(benchmark::State& state, const Image& i, bool skip, bool pool, bool accumulate) {
    const Buffer dy = Buffer::floats(i.size()), dx = Buffer::zeros(i.size() * sizeof(float));
    for (auto _ : state) {
        node_input_gradient<float>(kOneThread, i, dy.as(), skip, pool, dx.as(), false);
        if (accumulate) node_input_gradient<float>(kOneThread, i, dy.as(), skip, pool, dx.as(), true);
    }
    count_bytes(state, bytes(i.size() * (accumulate ? 5 : 2)));
}

void backward_sums(benchmark::State& state, const Image& i, int terms) {
    const Buffer dy = Buffer::floats(i.size()),
                 sums = Buffer::zeros(static_cast<std::size_t>(1 + terms) * i.c * sizeof(double)),
                 workspace(norm_sums_workspace(kOneThread, i, terms));
    std::vector<Buffer> inputs;
    std::vector<const float*> z;
    for (int k = 0; k < terms; k++) {
        inputs.push_back(Buffer::floats(i.size()));
        z.push_back(inputs.back().as());
    }
    for (auto _ : state) norm_backward_sums<float>(kOneThread, i, dy.as(), z, sums.as<double>(), workspace.as<void>());
    count_bytes(state, bytes(i.size() * static_cast<std::size_t>(1 + terms)));
}

void plain_sums(benchmark::State& state, const Image& i) {
    const Buffer x = Buffer::floats(i.size()), sums = Buffer::zeros(2 * static_cast<std::size_t>(i.c) * sizeof(double)),
                 workspace(norm_sums_workspace(kOneThread, i, 1));
    for (auto _ : state) channel_sums<float>(kOneThread, i, x.as(), sums.as<double>(), workspace.as<void>());
    count_bytes(state, bytes(i.size()));
}

void halve(benchmark::State& state, const Image& i, bool backward) {
    const Buffer large = Buffer::floats(i.size()), small = Buffer::floats(i.size() / 4);
    for (auto _ : state) {
        if (backward)
            avg_pool_2x2_backward<float>(kOneThread, i, small.as(), large.as(), false);
        else
            avg_pool_2x2<float>(kOneThread, i, large.as(), small.as());
    }
    count_bytes(state, bytes(i.size() + i.size() / 4));
}

}  // namespace

void register_node() {
    for (const Stage& stage : kStages) {
        const Image i = image_of(stage);
        auto add = [&](const std::string& what, auto run) {
            benchmark::RegisterBenchmark(("node/" + what + "/" + stage.text()).c_str(), [i,
                                                                                         run](benchmark::State& state) {
                run(state, i);
            })->Unit(benchmark::kMicrosecond);
        };
        for (const char* terms : {"n", "p", "s", "nn", "nps", "nnn"})
            add(std::string("combine_") + terms,
                [terms](benchmark::State& s, const Image& image) { combine(s, image, terms); });
        add("gradient_skip", [](benchmark::State& s, const Image& m) { input_gradient(s, m, true, false, false); });
        add("gradient_pool", [](benchmark::State& s, const Image& m) { input_gradient(s, m, false, true, false); });
        add("gradient_skip_pool", [](benchmark::State& s, const Image& m) { input_gradient(s, m, true, true, false); });
        add("gradient_pool_added",
            [](benchmark::State& s, const Image& m) { input_gradient(s, m, false, true, true); });
        for (int terms : {1, 2, 3})
            add("backward_sums_" + std::to_string(terms),
                [terms](benchmark::State& s, const Image& m) { backward_sums(s, m, terms); });
        add("channel_sums", [](benchmark::State& s, const Image& m) { plain_sums(s, m); });
        add("avg_pool_2x2", [](benchmark::State& s, const Image& m) { halve(s, m, false); });
        add("avg_pool_2x2_backward", [](benchmark::State& s, const Image& m) { halve(s, m, true); });
    }
}

}  // namespace nascent::bench
