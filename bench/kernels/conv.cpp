#include "kernels/conv.h"

#include <algorithm>
#include <vector>

#include "bench/kernels/bench.h"

namespace nascent::bench {
namespace {

using namespace kernels;

/// A convolution as the network runs it.
struct Use {
    std::string name;
    ConvShape shape;
    bool relu, affine;  // the prologue
    bool norm;          // batch-norm follows: sums forward, its gradient folded in backward
    bool first;         // the pictures ask for no gradient
    bool winograd = false;
    Stream stream() const {
        Stream s = kOneThread;
        s.winograd = winograd;
        return s;
    }
};

std::vector<Use> uses() {
    std::vector<Use> all;
    for (const Stage& s : kStages)
        for (int k : {1, 3})
            all.push_back({"cell_" + std::to_string(k) + "x" + std::to_string(k) + "/" + s.text(),
                           {kBatch, s.size, s.size, s.channels, s.channels, k, 1},
                           true,
                           false,
                           true,
                           false});
    all.push_back({"stem/32x32x3", {kBatch, 32, 32, 3, 16, 3, 1}, false, false, true, true});
    for (int i = 0; i < 2; i++) {
        const Stage from = kStages[i], to = kStages[i + 1];
        const int b = kBatch;
        all.push_back({"block_a/" + from.text(),
                       {b, from.size, from.size, from.channels, to.channels, 3, 2},
                       true,
                       false,
                       true,
                       false});
        all.push_back(
            {"block_b/" + to.text(), {b, to.size, to.size, to.channels, to.channels, 3, 1}, true, true, true, false});
        all.push_back({"block_shortcut/" + to.text(),
                       {b, to.size, to.size, from.channels, to.channels, 1, 1},
                       false,
                       false,
                       false,
                       false});
    }
    for (std::size_t i = 0, count = all.size(); i < count; i++) {
        if (all[i].shape.k != 3 || all[i].shape.stride != 1 || all[i].first) continue;
        all.push_back(all[i]);
        all.back().name = "winograd_" + all.back().name;
        all.back().winograd = true;
    }
    return all;
}

struct Tensors {
    ConvShape s;
    std::size_t in, out, taps;
    Buffer x, w, z, dy, da, dw, in_affine, out_affine, sums, workspace;
    Prologue<float> prologue;
    NormFold<float> fold;

    explicit Tensors(const Use& use)
        : s(use.shape),
          in(static_cast<std::size_t>(s.n) * s.h * s.w * s.c_in),
          out(s.pixels() * s.c_out),
          taps(static_cast<std::size_t>(s.k) * s.k * s.c_in * s.c_out),
          x(Buffer::floats(in)),
          w(Buffer::floats(taps)),
          z(Buffer::floats(out)),
          dy(Buffer::floats(out)),
          da(Buffer::zeros(in * sizeof(float))),
          dw(Buffer::zeros(taps * sizeof(float))),
          in_affine(Buffer::floats(2 * static_cast<std::size_t>(s.c_in))),
          out_affine(Buffer::floats(3 * static_cast<std::size_t>(s.c_out))),
          sums(Buffer::zeros(2 * static_cast<std::size_t>(s.c_out) * sizeof(double))),
          workspace(std::max(conv_forward_workspace(use.stream(), s, sizeof(float)),
                             conv_backward_workspace(use.stream(), s, sizeof(float)))) {
        prologue.relu = use.relu;
        if (use.affine) prologue.scale = in_affine.as(), prologue.shift = in_affine.as() + s.c_in;
        if (use.norm) fold = {z.as(), out_affine.as(), out_affine.as() + s.c_out, out_affine.as() + 2 * s.c_out};
    }
    /// By definition, whatever the algorithm does with fewer; of one of: forward, data gradient, weight gradient.
    double flops() const { return 2.0 * static_cast<double>(s.pixels()) * static_cast<double>(taps); }
};

void forward(benchmark::State& state, const Use& use) {
    const Tensors t(use);
    const Stream stream = use.stream();
    for (auto _ : state)
        conv_forward<float>(stream, t.s, t.x.as(), t.prologue, t.w.as(), t.z.as(),
                            use.norm ? t.sums.as<double>() : nullptr, t.workspace.as<void>());
    count_flops(state, t.flops());
}

void backward(benchmark::State& state, const Use& use, bool data, bool weights) {
    const Tensors t(use);
    const Stream stream = use.stream();
    for (auto _ : state)
        conv_backward<float>(stream, t.s, t.x.as(), t.prologue, t.w.as(), t.dy.as(), t.fold, data ? t.da.as() : nullptr,
                             false, weights ? t.dw.as() : nullptr, false, t.workspace.as<void>());
    count_flops(state, t.flops() * (data + weights));
}

}  // namespace

void register_conv() {
    for (const Use& use : uses()) {
        auto add = [&](const char* what, auto run) {
            benchmark::RegisterBenchmark(("conv/" + use.name + "/" + what).c_str(), [use,
                                                                                     run](benchmark::State& state) {
                run(state, use);
            })->Unit(benchmark::kMicrosecond);
        };
        add("forward", [](benchmark::State& s, const Use& u) { forward(s, u); });
        add("backward", [](benchmark::State& s, const Use& u) { backward(s, u, !u.first, true); });
        if (use.first) continue;
        add("backward_data", [](benchmark::State& s, const Use& u) { backward(s, u, true, false); });
        add("backward_weights", [](benchmark::State& s, const Use& u) { backward(s, u, false, true); });
    }
}

}  // namespace nascent::bench
