// The GPU's passes of a mixed cell against plain loops, on the emulator in three orders of the threads.
#include <algorithm>
#include <cstring>

#include "tests/gpu/mixed_cell.h"

namespace nascent::test {
namespace {

using enum BranchKind;

struct Case {
    int n;
    std::vector<StateShape> states;
    std::vector<BranchShape> branches;
    int launches = 1;
    bool norms = true, aligned = true;
    bool exact = false;  // of short numbers
};
/// All kinds, whole and halved, on tiles that the picture fills and does not; channels of an odd number, more than a
/// chunk, more than shared memory holds; more tiles than rows of partial sums; more branches than a launch takes.
const std::vector<Case>& cases() {
    static const std::vector<Case> all{
        {2,
         {{9, 18, 16, 24}},
         {{separable, 0, 16, 3},
          {max_pool, 0, 16},
          {separable, 0, 8, 5, 2},
          {separable, 0, 24, 5},
          {avg_pool, 0, 16},
          {separable, 0, 16, 3, 2},
          {pointwise, 0, 16},
          {separable, 0, 4, 7},
          {separable, 0, 4, 1}}},
        {3,
         {{6, 8, 4, 4, true}, {5, 7, 8, 8}},
         {{reduce, 0, 8},
          {separable, 0, 8, 3, 1, 2},
          {separable, 0, 4, 5, 2, 2},
          {max_pool, 1, 8, 3, 1, 2},
          {pointwise, 1, 4, 1, 1, 2},
          {avg_pool, 1, 8, 3, 1, 2},
          {separable, 1, 4, 3, 2, 2},
          {max_pool, 1, 8}}},
        {1,
         {{3, 5, 3, 5, true}, {4, 2, 5, 7}, {1, 1, 1, 1}},
         {{separable, 0, 5, 3},
          {reduce, 1, 6},
          {avg_pool, 1, 5},
          {max_pool, 1, 5},
          {pointwise, 1, 2},
          {separable, 2, 3, 5}},
         1,
         true,
         false},
        {1, {{3, 2, 600, 600}}, {{separable, 0, 4, 5, 2}, {pointwise, 0, 3}, {max_pool, 0, 600}}},
        {1, {{2, 3, 36, 36, true}}, {{separable, 0, 136, 3}}},
        {1, {{8, 8, 64, 64, true}}, {{separable, 0, 64, 5, 2}, {pointwise, 0, 64}}},
        {270, {{2, 2, 4, 4}}, {{max_pool, 0, 4}, {separable, 0, 4, 3}}},
        // In two halves of a tile, and in pieces.
        {2,
         {{16, 13, 32, 32}},
         {{max_pool, 0, 32},
          {separable, 0, 16, 5, 2},
          {separable, 0, 32, 3, 1, 2},
          {pointwise, 0, 8},
          {separable, 0, 8, 5, 1, 2},
          {separable, 0, 4, 3}}},
        {1, {{2, 2, 4, 4}, {2, 2, 4, 4, true}}, many(60), 2},
        {1,
         {{4, 6, 16, 16}},
         {{separable, 0, 8, 3}, {max_pool, 0, 16}, {reduce, 0, 8}, {separable, 0, 8, 3}},
         1,
         false}};
    return all;
}

/// Pools by themselves, without norms, give the bits that they gave among all branches.
template <class T>
void check_pools_alone(const kernels::Stream& stream, int n, std::span<const kernels::Source<T>> sources,
                       std::span<const kernels::Branch<T>> all) {
    std::vector<kernels::Branch<T>> pools;
    std::vector<std::size_t> sizes;
    for (const kernels::Branch<T>& b : all) {
        if (b.kind != max_pool && b.kind != avg_pool) continue;
        const kernels::Source<T>& s = sources[static_cast<std::size_t>(b.source)];
        sizes.push_back(static_cast<std::size_t>(n * b.out_h(s.h) * b.out_w(s.w) * b.c_out));
        pools.push_back(b);
    }
    if (pools.empty()) return;
    std::vector<Guarded<T>> z;
    std::vector<Guarded<std::uint8_t>> tap;
    std::vector<kernels::Branch<T>> alone = pools;
    for (std::size_t i = 0; i < pools.size(); i++) {
        z.emplace_back(sizes[i]), tap.emplace_back(pools[i].kind == max_pool ? sizes[i] : 0);
        alone[i].mean = alone[i].rstd = nullptr, alone[i].scale = alone[i].shift = nullptr;
    }
    for (std::size_t i = 0; i < pools.size(); i++) alone[i].z = z[i].data(), alone[i].tap = data_of(tap[i]);
    Workspace workspace(kernels::branches_forward_workspace<T>(stream, n, sources, alone));
    kernels::branches_forward<T>(stream, n, 0, sources, alone, workspace.get());
    for (std::size_t i = 0; i < pools.size(); i++) {
        CHECK(std::memcmp(z[i].data(), pools[i].z, sizes[i] * sizeof(T)) == 0);
        CHECK(std::equal(tap[i].begin(), tap[i].end(), pools[i].tap));
    }
}

/// Returns the outputs.
template <class T>
std::vector<Guarded<T>> check_case(const Case& of, unsigned seed, Products products) {
    constexpr double kEps = 1e-3;
    CAPTURE(seed);
    Numbers numbers(seed);
    CellData<T> cell(of.n, of.states, of.branches, numbers, of.aligned);
    if (of.exact) shorten<T>(cell.depth, 1), shorten<T>(cell.point, 4), shorten<T>(cell.odd, 4);
    std::vector<Guarded<T>> all;
    const std::size_t count = of.branches.size();
    std::vector<std::vector<Bounded>> want(count);
    std::vector<std::vector<std::uint8_t>> want_tap(count);
    for (std::size_t b = 0; b < count; b++) want[b] = cell.forward(b, want_tap[b]);
    in_every_order([&] {
        std::vector<Guarded<T>> z, scale, shift;
        std::vector<Guarded<double>> mean, rstd;
        std::vector<Guarded<std::uint8_t>> tap;
        std::vector<kernels::Source<T>> sources;
        std::vector<kernels::Branch<T>> branches;
        for (std::size_t s = 0; s < of.states.size(); s++) sources.push_back(cell.source(s));
        for (std::size_t b = 0; b < count; b++) {
            const std::size_t c = static_cast<std::size_t>(of.norms ? of.branches[b].c_out : 0);
            z.emplace_back(cell.outputs(b), of.aligned ? 0 : 1);
            tap.emplace_back(want_tap[b].size());
            scale.emplace_back(c), shift.emplace_back(c), mean.emplace_back(c), rstd.emplace_back(c);
        }
        for (std::size_t b = 0; b < count; b++) {
            kernels::Branch<T>& r = branches.emplace_back(cell.branch(b));
            r.z = z[b].data(), r.tap = data_of(tap[b]);
            r.mean = data_of(mean[b]), r.rstd = data_of(rstd[b]);
            r.scale = data_of(scale[b]), r.shift = data_of(shift[b]);
        }
        Counting device(precision_of(products));
        Workspace workspace(kernels::branches_forward_workspace<T>(device.stream(), of.n, sources, branches));
        kernels::branches_forward<T>(device.stream(), of.n, kEps, sources, branches, workspace.get());
        CHECK(device.launches == of.launches);
        CHECK(workspace.intact());
        check_pools_alone<T>(device.stream(), of.n, sources, branches);
        std::vector<Guarded<T>> out;
        for (std::size_t b = 0; b < count; b++) {
            CAPTURE(b);
            check_close(z[b], want[b], cell.operations(b) + product_operations(products), "z");
            CHECK(tap[b].intact());
            CHECK(std::equal(tap[b].begin(), tap[b].end(), want_tap[b].begin()));
            out.push_back(z[b]);
            if (!of.norms) continue;
            // Four pixels at a time in T; a product more for squares, a rounding of the result.
            const auto norm = norm_of(z[b], of.branches[b].c_out, kEps);
            constexpr double kUnit = std::numeric_limits<T>::epsilon();
            const double sums = 2 * std::numeric_limits<double>::epsilon() * static_cast<double>(cell.outputs(b));
            check_close(mean[b], norm[0], 1, "mean", 4 * kUnit + sums);
            check_close(rstd[b], norm[1], 1, "rstd", 5 * kUnit + sums);
            check_close(scale[b], norm[2], 1, "scale", 6 * kUnit + sums);
            check_close(shift[b], norm[3], 1, "shift", 6 * kUnit + sums);
            for (const auto* v : {&mean[b], &rstd[b]}) out.push_back(bits_of<T>(*v));
            out.push_back(scale[b]), out.push_back(shift[b]);
        }
        all = out;
        return out;
    });
    return all;
}

TEST_CASE_TEMPLATE("gpu branches_forward", T, float, double) {
    unsigned seed = 300;
    for (const Case& of : cases()) check_case<T>(of, seed++, Products::strict);
}

TEST_CASE("gpu branches_forward in tf32 rounds its factors, and has the strict bits where nothing is rounded") {
    unsigned seed = 350;
    for (Case of : cases()) {
        const auto strict = check_case<float>(of, seed, Products::strict),
                   got = check_case<float>(of, seed, Products::tf32);
        bool dense = of.aligned, same = true;  // all channels come in fours
        for (const BranchShape& b : of.branches) dense = dense && b.c_out % (b.kind == reduce ? 8 : 4) == 0;
        for (const StateShape& s : of.states) dense = dense && s.c % 4 == 0;
        for (std::size_t i = 0; i < got.size(); i++) same = same && got[i].same_bits(strict[i]);
        CHECK(same == !dense);
        of.exact = true;
        for (StateShape& s : of.states) s.scaled = false;
        const auto short_strict = check_case<float>(of, seed, Products::strict),
                   short_got = check_case<float>(of, seed++, Products::exact);
        // Of each branch z; its norm is made of sums in another order.
        for (std::size_t i = 0; i < short_got.size(); i += of.norms ? 5 : 1) {
            CAPTURE(i);
            CHECK(short_got[i].same_bits(short_strict[i]));
        }
    }
}

TEST_CASE_TEMPLATE("gpu branches_forward of not-a-number", T, float, double) {
    Numbers numbers(800);
    CellData<T> cell(1, {{6, 7, 4, 4}},
                     {{max_pool, 0, 4}, {avg_pool, 0, 4}, {separable, 0, 4, 3}, {max_pool, 0, 4, 3, 1, 2}}, numbers,
                     true);
    for (std::size_t at : {0, 1 * 4 + 1, 2 * 4 + 1, 20 * 4 + 1, 21 * 4 + 3})
        cell.x[0][at] = std::numeric_limits<T>::quiet_NaN();
    for (std::size_t b = 0; b < cell.shapes.size(); b++) {
        CAPTURE(b);
        std::vector<std::uint8_t> want_tap;
        const auto want = cell.forward(b, want_tap);
        Guarded<T> z(cell.outputs(b));
        Guarded<std::uint8_t> tap(want_tap.size());
        const kernels::Source<T> source = cell.source(0);
        kernels::Branch<T> branch = cell.branch(b);
        branch.z = z.data(), branch.tap = data_of(tap);
        kernels::branches_forward<T>(kGpu, 1, 1e-5, {&source, 1}, {&branch, 1}, nullptr);
        std::size_t spoiled = 0;
        for (std::size_t i = 0; i < z.size(); i++) {
            CHECK(std::isnan(z[i]) == std::isnan(want[i].value));
            spoiled += std::isnan(z[i]);
        }
        CHECK(spoiled > 0);
        CHECK(spoiled < z.size());
        CHECK(std::equal(tap.begin(), tap.end(), want_tap.begin()));
    }
}

/// Keeps what it is given, to be done as often as one likes.
struct Recorded : simt::Stream {
    std::vector<std::function<void()>> work;
    void submit(std::function<void()> one) override { work.push_back(std::move(one)); }
};

TEST_CASE("gpu branches_forward can be replayed") {
    Numbers numbers(810);
    const CellData<float> cell(3, {{20, 18, 4, 4}}, {{separable, 0, 4, 3}, {max_pool, 0, 4}}, numbers, true);
    const std::vector<kernels::Source<float>> sources{cell.source(0)};
    std::vector<kernels::Branch<float>> branches{cell.branch(0), cell.branch(1)};
    std::vector<Guarded<float>> z{Guarded<float>(cell.outputs(0)), Guarded<float>(cell.outputs(1))};
    std::vector<Guarded<float>> affine(4, Guarded<float>(4));
    std::vector<Guarded<double>> norm(4, Guarded<double>(4));
    Guarded<std::uint8_t> tap(cell.outputs(1));
    for (std::size_t b = 0; b < 2; b++) {
        branches[b].z = z[b].data(), branches[b].tap = tap.data();
        branches[b].scale = affine[2 * b].data(), branches[b].shift = affine[2 * b + 1].data();
        branches[b].mean = norm[2 * b].data(), branches[b].rstd = norm[2 * b + 1].data();
    }
    Recorded device;
    const kernels::Stream stream{.where = kernels::Where::gpu, .handle = static_cast<simt::Stream*>(&device)};
    Workspace workspace(kernels::branches_forward_workspace<float>(stream, 3, sources, branches));
    kernels::branches_forward<float>(stream, 3, 1e-5, sources, branches, workspace.get());
    REQUIRE(device.work.size() == 1);
    device.work[0]();
    const auto first = affine;
    for (auto& v : affine) {
        CHECK(std::isfinite(v[3]));
        std::fill(v.begin(), v.end(), -7.0f);
    }
    device.work[0]();
    for (std::size_t i = 0; i < 4; i++) CHECK(affine[i].same_bits(first[i]));
}

}  // namespace
}  // namespace nascent::test
