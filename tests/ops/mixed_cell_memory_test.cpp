// What the forward of a cell keeps, counted in tensors: docs/design.md, "A mixed cell".
#include <doctest/doctest.h>

#include "engine/autograd/execution.h"
#include "ops/mixed_cell.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

/// A cell of the DARTS space: 4 nodes, an edge from every earlier state, all primitives on each.
CellShape darts_cell(int channels, bool reduction, bool reduce_before) {
    CellShape s{reduce_before, channels, 4, {}};
    for (int to = 2; to < 6; to++)
        for (int from = 0; from < to; from++)
            s.edges.push_back({from,
                               to,
                               reduction && from < 2 ? 2 : 1,
                               {{CellOpKind::none},
                                {CellOpKind::max_pool, 3},
                                {CellOpKind::avg_pool, 3},
                                {CellOpKind::skip},
                                {CellOpKind::separable, 3},
                                {CellOpKind::separable, 5},
                                {CellOpKind::dilated, 3},
                                {CellOpKind::dilated, 5}}});
    return s;
}

/// Bytes that a forward in training leaves in the arena, and how many batch-norms the cell has.
struct Kept {
    std::size_t bytes;
    std::size_t norms;
};
Kept run(Device& device, const CellShape& s, int n, int size) {
    Arena inputs(device), arena(device, std::size_t{1} << 38, false);
    std::vector<Tensor> parameters;
    std::size_t norms = 2;
    auto add = [&](const Shape& shape) {
        parameters.push_back(inputs.tensor(shape, DType::f32));
        device.fill(parameters.back().data, 0, parameters.back().bytes());
    };
    const std::int64_t c = s.channels;
    auto reduce = [&] { add({1, 1, c, c / 2}), add({1, 1, c, c / 2}); };
    if (s.reduce_before)
        reduce();
    else
        add({1, 1, c, c});
    add({1, 1, c, c});
    for (const CellEdge& e : s.edges)
        for (const CellOp& o : e.ops) {
            norms += static_cast<std::size_t>(cell_op_norms(o, e.stride));
            if (o.kind == CellOpKind::skip && e.stride == 2) reduce();
            if (o.kind != CellOpKind::separable && o.kind != CellOpKind::dilated) continue;
            for (int i = 0; i < (o.kind == CellOpKind::separable ? 2 : 1); i++) add({o.k, o.k, c}), add({1, 1, c, c});
        }
    const int larger = s.reduce_before ? 2 * size : size;
    const Tensor before = inputs.tensor({n, larger, larger, c}, DType::f32);
    const Tensor previous = inputs.tensor({n, size, size, c}, DType::f32);
    for (const Tensor& t : {before, previous}) device.fill(t.data, 0, t.bytes());
    ExecutionScope execution(arena);
    const Tensor y = mixed_cell(s, before, previous, {}, parameters, std::vector<CellNorm>(norms), true);
    CHECK(y.shape == Shape({n, size / s.edges[0].stride, size / s.edges[0].stride, 4 * c}));
    return {arena.used(), norms};
}

}  // namespace

TEST_CASE("the forward of a mixed cell keeps six tensors per edge, and on the cpu pools once per state") {
    constexpr std::size_t edges = 14, outgoing = 5;  // states that an edge leaves: all but the last
    constexpr std::size_t norm = 2 * 16 * (sizeof(float) + sizeof(double));  // no rounding at 16 channels
    constexpr std::size_t norms = 2 + edges * 6 + 2 * outgoing;
    const auto cpu = make_device("cpu", 1), gpu = testing::gpu_device();
    for (Device* device : {cpu.get(), gpu.get()})
        for (int n : {1, 3})
            for (int size : {8, 16}) {
                if (!device || (device == gpu.get() && n * size > 8)) continue;  // the emulator is slow
                // Of 16 channels in float32, as large as the cell's nodes.
                const std::size_t state = static_cast<std::size_t>(n * size * size) * 16 * sizeof(float);
                const std::size_t pools = device == cpu.get() ? outgoing * (2 * state + state / 4) : 0;
                const std::size_t z = edges * 6 * state, y = 4 * state;
                const Kept normal = run(*device, darts_cell(16, false, false), n, size);
                CHECK(normal.bytes == y + 2 * state + z + pools + norms * norm);
                CHECK(normal.norms == 2 + edges * 8);  // running statistics are every edge's
                CHECK(run(*device, darts_cell(16, false, true), n, size).bytes == normal.bytes);
                // Its inputs are four times as large, and eight skips are convolutions.
                const Kept reduction = run(*device, darts_cell(16, true, false), n, 2 * size);
                CHECK(reduction.bytes == y + 2 * 4 * state + z + 8 * state + pools + (norms + 8) * norm);
            }
}
