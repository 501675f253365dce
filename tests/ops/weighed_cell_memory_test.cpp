// What the forward of NAS-Bench-201's cell with partial channels keeps, and the most that its backward has at once,
// counted in tensors: docs/design.md, "A mixed cell".
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/autograd/execution.h"
#include "kernels/conv_list.h"
#include "kernels/fold.h"
#include "ops/kernel_stream.h"
#include "ops/weighed_cell.h"

using namespace nascent;

namespace {

constexpr int kNodes = 4, kEdges = 6, kOps = 4;  // skip, 1x1, 3x3, pool

struct Measured {
    std::size_t kept = 0, high_water = 0;
    std::size_t conv_workspace = 0;  // of all six convolutions that leave the input
};

/// A cell with all edges' operators and bypasses, float32 on one thread of the CPU; every gradient is wanted.
Measured run(int n, int size, int c, int of, bool weighed_bypasses) {
    const auto device = make_device("cpu", 1);
    Arena inputs(*device, std::size_t{1} << 34, false), arena(*device, std::size_t{1} << 34, false);
    auto tensor = [&](const Shape& shape) {
        Tensor t = inputs.tensor(shape, DType::f32);
        std::fill_n(t.as<float>(), t.size(), 0.5f);
        return t;
    };
    const int seen = c / of;
    Tensor x = tensor({n, size, size, c}), weights = tensor({kEdges, kOps + 1});
    const Tensor dy = tensor(x.shape);
    std::vector<WeighedTerm> terms;
    int row = 0;
    for (int to = 1; to < kNodes; to++)
        for (int from = 0; from < to; from++, row += kOps + 1) {
            terms.push_back({EdgeOp::skip, from, to, row});
            terms.push_back({EdgeOp::conv, from, to, row + 1, tensor({1, 1, seen, seen})});
            terms.push_back({EdgeOp::conv, from, to, row + 2, tensor({3, 3, seen, seen})});
            terms.push_back({EdgeOp::pool, from, to, row + 3});
            terms.push_back({EdgeOp::bypass, from, to, weighed_bypasses ? row + 4 : -1});
        }
    Measured m;
    ExecutionScope execution(arena);
    Tape tape(arena, nullptr);
    TapeScope recording(&tape);
    tape.watch(x), tape.watch(weights);
    for (WeighedTerm& t : terms)
        if (t.op == EdgeOp::conv) tape.watch(t.kernel);
    const Tensor y = weighed_cell(x, weights, terms, true, 0, 1, {of});
    m.kept = arena.used();
    tape.backward(y, dy);
    m.high_water = arena.high_water();
    const int fold = kernels::fold_of(n, seen);
    m.conv_workspace = kernels::normed_convs_backward_workspace(
        kernel_stream(*device), {n / fold, size, size, seen, seen, 3, 1, fold}, sizeof(float), 2 * (kNodes - 1));
    return m;
}

std::size_t lines(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
std::size_t floats(std::size_t count) { return lines(count * sizeof(float)); }

}  // namespace

TEST_CASE("a weighed cell with partial channels writes no node between, and keeps what operators see") {
    struct Sample {
        int n, size, c, of;
    };
    for (const auto& [n, size, c, of] : {Sample{8, 12, 16, 4}, {4, 10, 32, 4}, {3, 8, 24, 2}, {2, 6, 40, 2}}) {
        CAPTURE(c);
        const auto pixels = static_cast<std::size_t>(n * size * size);
        const auto seen_channels = static_cast<std::size_t>(c / of);
        const std::size_t whole = floats(pixels * static_cast<std::size_t>(c)), seen = floats(pixels * seen_channels);
        const auto width = seen_channels * static_cast<std::size_t>(kernels::fold_of(n, c / of));
        const std::size_t norm = floats(2 * width) + lines(2 * width * sizeof(double));
        // Of the three nodes that are read what operators see and its pool; of each convolution its norm, and z: of
        // 1x1s with at most 16 channels the products of what they read instead, which is the node.
        const bool stored = seen_channels > 16;
        const std::size_t products = stored ? 0 : lines((seen_channels + 1) * seen_channels * sizeof(double));
        const std::size_t kept =
            2 * (kNodes - 1) * seen + (kNodes - 1) * products + 2 * kEdges * norm + (stored ? 2 : 1) * kEdges * seen;
        const Measured m = run(n, size, c, of, false);
        CHECK(m.kept == whole + kept);
        // The gradients of the input, the weights and the kernels stay. While the input's convolutions go back there
        // are the gradients of three sums and of what operators see of three nodes, the maps and the weights' sums.
        const std::size_t gradients = whole + floats(kEdges * (kOps + 1)) +
                                      kEdges * floats(seen_channels * seen_channels) +
                                      kEdges * floats(9 * seen_channels * seen_channels);
        const std::size_t scratch = floats(kEdges * (kOps + 1)) + 2 * (kNodes - 1) * seen +
                                    kEdges * (kOps + 1) * floats(3 * width) + lines(m.conv_workspace);
        CHECK(m.high_water == m.kept + gradients + scratch);
        // Weighed bypasses need the nodes between for their weights' gradients.
        CHECK(run(n, size, c, of, true).kept == (kNodes - 1) * whole + kept);
    }
}
