// What tensor cores' kernels ask of memory: as counted from their tiles, and little more than they need.
#include "kernels/common/dense_bytes.cuh"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using namespace kernels;
using namespace kernels::gpu;

/// x as it is; counts what is fetched of it.
struct CountingSource {
    const float* x;
    int h, w, c;
    std::uint64_t* fetched;

    struct Channels {
        int first;
    };
    using Raw = Wide<float>;
    Channels channels(int first) const { return {first}; }
    Raw fetch(int n, int row, int column, const Channels& k) const {
        if (k.first >= c) return {};
        std::atomic_ref(*fetched).fetch_add(4, std::memory_order_relaxed);
        return load<4>(x + ((static_cast<std::size_t>(n) * h + row) * w + column) * c + k.first);
    }
    Raw value(const Raw& raw, const Channels&) const { return raw; }
};
struct NoSink {
    void operator()(int, int, int, int, const Wide<float>&) const {}
};

template <bool IsGradient>
std::uint64_t fetched(const ConvShape& shape) {
    const ConvShape s = flattened(shape);
    const DensePlan plan = plan_dense(s, IsGradient);
    const ConvTiles& t = plan.d.s;
    const Guarded<float> x = Numbers(1).uniform<float>(static_cast<std::size_t>(t.n) * t.in_h * t.in_w * t.in_c),
                         w = Numbers(2).uniform<float>(static_cast<std::size_t>(s.k * s.k) * s.c_in * s.c_out);
    const Guarded<float> x0 = at_skew(x, true), w0 = at_skew(w, true);
    std::uint64_t count = 0;
    launch_dense<Tf32, IsGradient>(nullptr, plan, CountingSource{x0.data(), t.in_h, t.in_w, t.in_c, &count}, w0.data(),
                                   NoSink{}, nullptr);
    return count;
}

TEST_CASE("dense kernels fetch as many elements as are counted") {
    for (const ConvShape& s : {ConvShape{2, 32, 32, 16, 16, 3, 1},
                               {3, 7, 9, 8, 12, 3, 2},
                               {2, 16, 16, 16, 72, 3, 1},
                               {3, 9, 5, 20, 16, 1, 1},
                               {2, 9, 8, 16, 16, 1, 2},
                               {1, 33, 18, 4, 8, 3, 1}}) {
        CAPTURE(s.h);
        CAPTURE(s.stride);
        auto counted = [&](const DensePlan& plan, double pixels) { return pixels * plan.d.s.in_c * plan.grid.y; };
        const DensePlan forward = plan_dense(flattened(s), false), back = plan_dense(flattened(s), true);
        CHECK(static_cast<double>(fetched<false>(s)) == counted(forward, fetched_pixels<false>(forward)));
        CHECK(static_cast<double>(fetched<true>(s)) == counted(back, fetched_pixels<true>(back)));

        // The gradient of weights: dz is as large as z.
        const ConvShape f = flattened(s);
        const DenseGradientPlan plan = plan_dense_gradient(f);
        const Guarded<float> x = at_skew(Numbers(3).uniform<float>(static_cast<std::size_t>(f.n) * f.h * f.w * f.c_in),
                                         true),
                             dz = at_skew(Numbers(4).uniform<float>(f.pixels() * static_cast<std::size_t>(f.c_out)),
                                          true);
        Workspace partials(std::size_t{plan.grid.x} * static_cast<std::size_t>(f.k * f.k) * f.c_in * f.c_out * 4);
        std::uint64_t of_x = 0, of_dz = 0;
        const CountingSource input{x.data(), f.h, f.w, f.c_in, &of_x},
            gradient{dz.data(), f.out_h(), f.out_w(), f.c_out, &of_dz};
        if (f.k == 1)
            launch_dense_gradient<Tf32, 1>(nullptr, plan, input, gradient, static_cast<float*>(partials.get()));
        else
            launch_dense_gradient<Tf32, 3>(nullptr, plan, input, gradient, static_cast<float*>(partials.get()));
        CHECK(partials.intact());
        const double w = static_cast<double>(f.k * f.k) * f.c_in * f.c_out;
        CHECK(4.0 * static_cast<double>(of_x + of_dz) + 4 * (2 * w * plan.grid.x + w) ==
              dense_gradient_bytes(s, 1).moved);
    }
}

TEST_CASE("dense kernels of the benchmark's cells move at most 1.3 times what they need or so many blocks must") {
    std::printf("bytes moved over bytes needed, and blocks, at batch 64 and 256\n");
    for (int k : {3, 1})
        for (const ConvShape& of :
             {ConvShape{64, 32, 32, 16, 16, k, 1}, {64, 16, 16, 32, 32, k, 1}, {64, 8, 8, 64, 64, k, 1}}) {
            double ratios[3][2];
            std::size_t shared[3];
            unsigned threads[3], blocks[3][2];
            for (int batch = 0; batch < 2; batch++) {
                ConvShape s = of;
                s.n = batch ? 256 : 64;
                const DenseBytes all[3] = {dense_bytes<false>(s, 1, 1, true), dense_bytes<true>(s, 2, 2, false),
                                           dense_gradient_bytes(s, 2)};
                for (int i = 0; i < 3; i++) ratios[i][batch] = all[i].moved / all[i].needed;
                const DensePlan forward = plan_dense(flattened(s), false), back = plan_dense(flattened(s), true);
                const DenseGradientPlan weights = plan_dense_gradient(flattened(s));
                shared[0] = forward.shared_bytes, shared[1] = back.shared_bytes, shared[2] = weights.shared_bytes;
                threads[0] = forward.threads, threads[1] = back.threads, threads[2] = weights.threads;
                blocks[0][batch] = forward.grid.x * forward.grid.y, blocks[1][batch] = back.grid.x * back.grid.y;
                blocks[2][batch] = weights.grid.x * weights.grid.y * weights.grid.z;
                // Weights' gradients of many channels and few pixels are either read by several blocks or leave
                // many partial sums, or keep few multiprocessors busy.
                for (int i = 0; i < 2; i++) CHECK(all[i].moved <= 1.3 * std::max(all[i].needed, all[i].least));
                for (int i = 0; i < 2; i++) CHECK(blocks[i][batch] >= 128);  // of 132 multiprocessors
                if (batch == 1 && of.c_in < 64) CHECK(ratios[2][batch] <= 1.3);
            }
            const char* const names[] = {"forward", "to the input", "to the weights"};
            for (int i = 0; i < 3; i++)
                std::printf(
                    "%dx%d, %d channels, %-14s: %.2f %.2f; %u threads, %zu bytes of shared memory, %u and %u blocks\n",
                    k, k, of.c_in, names[i], ratios[i][0], ratios[i][1], threads[i], shared[i], blocks[i][0],
                    blocks[i][1]);
        }
}

}  // namespace
}  // namespace nascent::test
