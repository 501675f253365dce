// Right kernels give, in three orders of the threads, the bits that loops give which add in the same order.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "kernels/simt/emulator.h"
#include "tests/simt/kernels.h"

namespace nascent::test {
namespace {

template <class F>
void in_every_order(F&& f) {
    for (auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
        CAPTURE(static_cast<int>(order));
        simt::set_order(order, 3);
        f();
    }
    simt::set_order(simt::Order::forward);
}

std::vector<float> uniform(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> draw(-1, 1);
    std::vector<float> v(size);
    for (float& x : v) x = draw(random);
    return v;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// The order of block_sum: butterflies in each warp, then over the warps.
float sum_of_block(std::vector<float> v) {
    auto butterfly = [](float* lanes) {
        for (int d = 16; d > 0; d /= 2) {
            float next[32];
            for (int i = 0; i < 32; i++) next[i] = lanes[i] + lanes[i ^ d];
            std::copy_n(next, 32, lanes);
        }
    };
    std::vector<float> partial(32, 0.0f);
    for (std::size_t w = 0; w < v.size() / 32; w++) {
        butterfly(&v[32 * w]);
        partial[w] = v[32 * w];
    }
    butterfly(partial.data());
    return partial[0];
}
std::vector<float> sums_of_blocks(const std::vector<float>& x, int blocks) {
    std::vector<float> sums;
    for (int b = 0; b < blocks; b++) {
        std::vector<float> threads(256, 0.0f);
        for (std::size_t i = 0; i < x.size(); i++)
            if (static_cast<int>(i / 256) % blocks == b) threads[i % 256] += x[i];
        sums.push_back(sum_of_block(threads));
    }
    return sums;
}

TEST_CASE("sums over blocks, in two launches and in one") {
    for (int size : {1, 255, 5000}) {
        CAPTURE(size);
        const std::vector<float> x = uniform(static_cast<std::size_t>(size), 1);
        const std::vector<float> partial = sums_of_blocks(x, kSumBlocks);
        const float want = sums_of_blocks(partial, 1)[0];
        in_every_order([&] {
            std::vector<float> partials(kSumBlocks), out(1);
            sum(x.data(), size, partials.data(), out.data());
            CHECK(same_bits(partials, partial));
            CHECK(same_bits(out, {want}));
            unsigned done = 0;
            out[0] = 0;
            sum_one_launch(x.data(), size, partials.data(), &done, out.data());
            CHECK(same_bits(out, {want}));
            CHECK(done == kSumBlocks);
        });
    }
}

/// c by instructions of `step` terms, each of which rounds once; and that it is close to the exact product.
std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, int m, int n, int k, int step) {
    std::vector<float> c;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            long double exact = 0, magnitude = 0;
            for (int first = 0; first < k; first += step) {
                double s = sum;
                for (int l = first; l < first + step; l++) {
                    const double term = static_cast<double>(a[i * k + l]) * b[j * k + l];
                    s += term;
                    exact += term;
                    magnitude += std::fabs(term);
                }
                sum = static_cast<float>(s);
            }
            c.push_back(sum);
            // One rounding to float an instruction, each by 2^-24 of a partial sum at most, which `magnitude` bounds;
            // the roundings in double are far below the spare half unit.
            CHECK(std::fabs(sum - exact) <= (k / step + 0.5L) * std::ldexp(1.0L, -24) * magnitude);
        }
    return c;
}

TEST_CASE("matrix products through cp.async, ldmatrix and mma.sync") {
    const int m = 128, n = 64, k = 96;
    std::vector<float> a = uniform(m * k, 5), b = uniform(n * k, 6);
    SUBCASE("bf16") {
        std::vector<std::uint16_t> ha, hb;
        for (auto [from, to] : {std::pair{&a, &ha}, std::pair{&b, &hb}})
            for (float& x : *from) {
                to->push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16));
                x = std::bit_cast<float>(static_cast<std::uint32_t>(to->back()) << 16);
            }
        const std::vector<float> want = product(a, b, m, n, k, 16);
        in_every_order([&] {
            std::vector<float> c(m * n, NAN);
            gemm_bf16(ha.data(), hb.data(), c.data(), m, n, k);
            CHECK(same_bits(c, want));
        });
    }
    SUBCASE("tf32, which does not look at the last 13 bits") {
        std::vector<float> short_a = a, short_b = b;
        for (auto* v : {&short_a, &short_b})
            for (float& x : *v) x = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & ~0x1fffu);
        const std::vector<float> want = product(short_a, short_b, m, n, k, 8);
        in_every_order([&] {
            std::vector<float> c(m * n, NAN);
            gemm_tf32(a.data(), b.data(), c.data(), m, n, k);
            CHECK(same_bits(c, want));
        });
    }
}

TEST_CASE("tf32 is the nearest, ties away from zero") {
    auto rounded = [](float x) { return std::bit_cast<float>(simt::to_tf32(x)); };
    const float unit = std::ldexp(1.0f, -10);
    CHECK(rounded(1 + unit) == 1 + unit);
    CHECK(rounded(1 + unit / 2) == 1 + unit);
    CHECK(rounded(-1 - unit / 2) == -1 - unit);
    CHECK(rounded(1 + unit / 2 - unit / 4096) == 1);
    CHECK(std::isinf(rounded(INFINITY)));
    CHECK(std::isnan(rounded(NAN)));
}

TEST_CASE("a depthwise convolution with a halo in shared memory") {
    for (auto [n, h, w, c] : {std::array{1, 1, 1, 4}, {2, 9, 7, 8}, {1, 16, 16, 4}, {1, 17, 8, 12}}) {
        CAPTURE(h);
        const std::vector<float> x = uniform(static_cast<std::size_t>(n) * h * w * c, 7), weight = uniform(9 * c, 8);
        std::vector<float> want;
        for (int i = 0; i < n * h * w * c; i++) {
            const int channel = i % c, ox = i / c % w, oy = i / c / w % h, image = i / c / w / h;
            float sum = 0;
            for (int tap = 0; tap < 9; tap++) {
                const int iy = oy - 1 + tap / 3, ix = ox - 1 + tap % 3;
                const bool inside = iy >= 0 && iy < h && ix >= 0 && ix < w;
                sum += (inside ? x[((image * h + iy) * w + ix) * c + channel] : 0.0f) * weight[tap * c + channel];
            }
            want.push_back(sum);
        }
        in_every_order([&] {
            std::vector<float> y(x.size(), NAN);
            depthwise(x.data(), weight.data(), y.data(), n, h, w, c);
            CHECK(same_bits(y, want));
        });
    }
}

TEST_CASE("votes, shuffles, groups of a warp, integer atomics") {
    for (int threads : {32, 96, 1024}) {
        CAPTURE(threads);
        std::mt19937 random(static_cast<unsigned>(threads));
        std::uniform_int_distribution<int> draw(-99, 99);
        std::vector<int> x, want(static_cast<std::size_t>(threads) * kFacts);
        for (int i = 0; i < threads; i++) x.push_back(draw(random));
        for (int t = 0; t < threads; t++) {
            const int lane = t % 32;
            const auto first = x.begin() + t / 32 * 32;
            int* r = &want[static_cast<std::size_t>(t) * kFacts];
            auto ballot = [&](int lanes) {
                unsigned votes = 0;
                for (int i = 0; i < lanes; i++) votes |= (first[i] > 0 ? 1u : 0u) << i;
                return static_cast<int>(votes);
            };
            r[0] = ballot(32);
            r[1] = first[lane ^ 2];
            r[2] = first[1];
            r[3] = first[17] + (lane < 16 ? first[lane ^ 15] + ballot(16) : 0);
            r[4] = lane >= 16 ? first[20] : 0;
            r[5] = first[lane ^ 31];
            for (int i : x) r[6] += i;
            r[7] = static_cast<int>(std::ranges::count_if(x, [](int v) { return v > 0; }));
        }
        in_every_order([&] {
            std::vector<int> result(want.size(), -1);
            warp_facts(x.data(), result.data(), threads);
            CHECK(result == want);
        });
    }
}

TEST_CASE("launches that CUDA refuses are refused") {
    float out = 0;
    CHECK_THROWS_WITH_AS(much_shared(false, &out),
                         doctest::Contains("102400 bytes of shared memory, the kernel is allowed 49152"), simt::Error);
    much_shared(true, &out);
    CHECK(out == 7);
    launch_nothing({3, 2, 2}, {1024, 1, 1}, 48 * 1024);
    launch_nothing({1, 1, 1}, {1, 16, 64}, 0);
    CHECK_THROWS_AS(launch_nothing({1, 1, 1}, {1025, 1, 1}, 0), simt::Error);
    CHECK_THROWS_AS(launch_nothing({1, 1, 1}, {32, 33, 1}, 0), simt::Error);
    CHECK_THROWS_AS(launch_nothing({1, 1, 1}, {1, 1, 65}, 0), simt::Error);
    CHECK_THROWS_AS(launch_nothing({1, 1, 1}, {0, 1, 1}, 0), simt::Error);
    CHECK_THROWS_AS(launch_nothing({0, 1, 1}, {1, 1, 1}, 0), simt::Error);
    CHECK_THROWS_AS(launch_nothing({1, 65536, 1}, {1, 1, 1}, 0), simt::Error);
    CHECK_THROWS_AS(launch_nothing({1, 1, 65536}, {1, 1, 1}, 0), simt::Error);
    CHECK_THROWS_AS(launch_nothing({1, 1, 1}, {1, 1, 1}, 48 * 1024 + 1), simt::Error);
    CHECK_THROWS_AS(simt::allow_shared(nullptr, 228 * 1024), simt::Error);
}

TEST_CASE("a stream may do its launches later, with the arguments of the launch") {
    struct Later : simt::Stream {
        std::vector<std::function<void()>> works;
        void submit(std::function<void()> work) override { works.push_back(std::move(work)); }
    } stream;
    int results[6] = {}, value = 5;
    // Here a kernel is a function like others.
    void (*kernel)(int, int*) = [](int v, int* to) { to[2 * blockIdx.x + threadIdx.x] += v; };
    simt::launch(kernel, {3, 2, 0, &stream}, value, results);
    value = 100;
    CHECK(results[5] == 0);
    for (int i = 0; i < 2; i++)
        for (auto& work : stream.works) work();
    for (int result : results) CHECK(result == 10);
}

TEST_CASE("threads of the host launch beside each other") {
    const std::vector<float> x = uniform(3000, 9);
    std::vector<std::vector<float>> results(3, std::vector<float>(1));
    std::vector<std::thread> threads;
    for (auto& result : results)
        threads.emplace_back([&] {
            std::vector<float> partials(kSumBlocks);
            for (int i = 0; i < 5; i++) sum(x.data(), static_cast<int>(x.size()), partials.data(), result.data());
        });
    for (std::thread& thread : threads) thread.join();
    for (auto& result : results) CHECK(same_bits(result, results[0]));
    CHECK(same_bits(results[0], {sums_of_blocks(sums_of_blocks(x, kSumBlocks), 1)[0]}));
}

}  // namespace
}  // namespace nascent::test
