// Links of ShuffleNetV2's and MobileNet's blocks at the sizes of a path, batch 16 and 224 pixels: the inside of a
// chain, where each link reads a z with a batch-norm and an activation and hands a gradient with its sums on.
#include "kernels/chain.h"

#include <algorithm>
#include <vector>

#include "bench/kernels/bench.h"

namespace nascent::bench {
namespace {

using namespace kernels;

struct Use {
    std::string name;
    LinkShape shape;
    Activation before, behind;
};

std::vector<Use> uses() {
    std::vector<Use> all;
    constexpr int n = 16;
    auto add = [&](const char* space, LinkShape s, Activation before, Activation behind) {
        std::string name = std::string(space) + (s.depthwise ? "/depth" + std::to_string(s.k) : "/point") +
                           (s.stride == 2 ? "s2/" : "/") + std::to_string(s.h) + "x" + std::to_string(s.c_in);
        if (!s.depthwise) name += "-" + std::to_string(s.c_out);
        all.push_back({std::move(name), s, before, behind});
    };
    constexpr Activation none = Activation::none, relu = Activation::relu, relu6 = Activation::relu6;
    struct Stage {
        int size, c_in, c_out, stride;
    };
    for (const Stage& t : {Stage{112, 24, 32, 2},
                           {56, 32, 32, 1},
                           {28, 56, 56, 1},
                           {14, 112, 112, 1},
                           {14, 128, 128, 1},
                           {7, 256, 256, 1}}) {
        const int c = t.c_in * 6, out = t.size / t.stride;
        add("mobile", {n, t.size, t.size, t.c_in, c}, none, relu6);
        for (int k : {3, 5, 7}) add("mobile", {n, t.size, t.size, c, c, k, t.stride, true}, relu6, relu6);
        add("mobile", {n, out, out, c, t.c_out}, relu6, none);
    }
    for (const Stage& t : {Stage{56, 32, 32, 1}, {28, 80, 80, 1}, {14, 160, 160, 1}, {7, 320, 320, 1}}) {
        add("shuffle", {n, t.size, t.size, t.c_in, t.c_in}, none, relu);
        for (int k : {3, 5, 7}) add("shuffle", {n, t.size, t.size, t.c_in, t.c_in, k, 1, true}, relu, none);
    }
    return all;
}

struct Tensors {
    LinkShape s;
    std::size_t in, out, taps;
    Buffer x, w, z, g, da, dw, in_affine, out_affine, in_sums, out_sums, workspace;
    Normed<float> input;
    NormedGradient<float> gradient;
    NormFold<float> fold;

    explicit Tensors(const Use& use)
        : s(use.shape),
          in(s.in_pixels() * static_cast<std::size_t>(s.c_in)),
          out(s.out_pixels() * static_cast<std::size_t>(s.c_out)),
          taps(static_cast<std::size_t>(s.depthwise ? s.k * s.k * s.c_in : s.c_in * s.c_out)),
          x(Buffer::floats(in)),
          w(Buffer::floats(taps)),
          z(Buffer::floats(out)),
          g(Buffer::floats(out)),
          da(Buffer::zeros(in * sizeof(float))),
          dw(Buffer::zeros(taps * sizeof(float))),
          in_affine(Buffer::floats(2 * static_cast<std::size_t>(s.c_in))),
          out_affine(Buffer::floats(3 * static_cast<std::size_t>(s.c_out))),
          in_sums(Buffer::zeros(2 * static_cast<std::size_t>(s.c_in) * sizeof(double))),
          out_sums(Buffer::zeros(2 * static_cast<std::size_t>(s.c_out) * sizeof(double))),
          workspace(std::max(link_forward_workspace(kOneThread, s, sizeof(float)),
                             link_backward_workspace(kOneThread, s, sizeof(float)))) {
        input = {{x.as(), s.c_in, 1}, in_affine.as(), in_affine.as() + s.c_in, use.before};
        gradient = {{g.as(), s.c_out, 1}, z.as()};
        fold = {nullptr, out_affine.as(), out_affine.as() + s.c_out, out_affine.as() + 2 * s.c_out};
    }
    double flops() const {
        return 2.0 * static_cast<double>(s.out_pixels()) * static_cast<double>(s.depthwise ? s.k * s.k : s.c_in) *
               static_cast<double>(s.c_out);
    }
};

void count(benchmark::State& state, double flops, double elements) {
    count_flops(state, flops);
    count_bytes(state, elements * sizeof(float));
}

void forward(benchmark::State& state, const Use& use) {
    const Tensors t(use);
    for (auto _ : state)
        link_forward<float>(kOneThread, t.s, t.input, t.w.as(), t.z.as(), t.out_sums.as<double>(),
                            t.workspace.as<void>());
    count(state, t.flops(), static_cast<double>(t.in + t.out + t.taps));
}

void backward(benchmark::State& state, const Use& use, bool data, bool weights) {
    const Tensors t(use);
    LinkTarget<float> target;
    if (data) target.da = {t.da.as(), t.s.c_in, 1}, target.sums = t.in_sums.as<double>();
    for (auto _ : state)
        link_backward<float>(kOneThread, t.s, t.input, t.w.as(), t.gradient, t.fold, target,
                             weights ? t.dw.as() : nullptr, false, t.workspace.as<void>());
    count(state, t.flops() * (data + weights),
          static_cast<double>(2 * t.out + (data ? 2 : 1) * t.in + (data + weights) * t.taps));
}

void sums(benchmark::State& state, const Use& use) {
    const Tensors t(use);
    const Buffer workspace(link_sums_workspace(kOneThread, t.s.out_pixels(), t.s.c_out));
    NormedGradient<float> g = t.gradient;
    g.scale = t.fold.scale, g.shift = t.fold.shift, g.activation = use.behind;
    for (auto _ : state)
        link_sums<float>(kOneThread, t.s.out_pixels(), t.s.c_out, g, t.out_sums.as<double>(), workspace.as<void>());
    count_bytes(state, static_cast<double>(2 * t.out) * sizeof(float));
}

}  // namespace

void register_chain() {
    for (const Use& use : uses()) {
        auto add = [&](const char* what, auto run) {
            benchmark::RegisterBenchmark(("chain/" + use.name + "/" + what).c_str(), [use,
                                                                                      run](benchmark::State& state) {
                run(state, use);
            })->Unit(benchmark::kMicrosecond);
        };
        add("forward", [](benchmark::State& s, const Use& u) { forward(s, u); });
        add("backward", [](benchmark::State& s, const Use& u) { backward(s, u, true, true); });
        add("data", [](benchmark::State& s, const Use& u) { backward(s, u, true, false); });
        add("weights", [](benchmark::State& s, const Use& u) { backward(s, u, false, true); });
        if (!use.shape.depthwise) add("sums", [](benchmark::State& s, const Use& u) { sums(s, u); });
    }
}

}  // namespace nascent::bench
