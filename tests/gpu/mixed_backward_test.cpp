// The GPU's pass back through a mixed cell's branches against plain loops, on the emulator in three orders of the
// threads.
#include "tests/gpu/mixed_gradients.h"

namespace nascent::test {
namespace {

using enum BranchKind;

struct Case {
    int n;
    std::vector<StateShape> states;
    std::vector<BranchShape> branches;
    bool weights = true, states_too = true, accumulate = false, in_place = false, batch = true, aligned = true;
    int launches = 1;
};
const std::vector<Case>& cases() {
    static const std::vector<StateShape> one{{9, 18, 16, 24}};
    static const std::vector<BranchShape> all_kinds{
        {separable, 0, 16, 3}, {max_pool, 0, 16},        {separable, 0, 8, 5, 2}, {separable, 0, 24, 5},
        {avg_pool, 0, 16},     {separable, 0, 16, 3, 2}, {pointwise, 0, 16},      {separable, 0, 4, 7}};
    static const std::vector<BranchShape> convolutions{{separable, 0, 16, 3}, {separable, 0, 8, 5, 2},
                                                       {pointwise, 0, 36},    {reduce, 0, 8},
                                                       {separable, 0, 4, 5},  {separable, 0, 8, 3, 2, 2}};
    static const std::vector<Case> all{
        {1, one, all_kinds},
        {1, one, all_kinds, false, true, false, true},
        {1, one, all_kinds, true, false, true},
        {2,
         {{6, 8, 20, 20, true}, {5, 7, 8, 8}},
         {{reduce, 0, 8},
          {separable, 0, 8, 3, 1, 2},
          {separable, 0, 4, 5, 2, 2},
          {max_pool, 1, 8, 3, 1, 2},
          {pointwise, 1, 4, 1, 1, 2},
          {avg_pool, 1, 8, 3, 1, 2},
          {separable, 1, 4, 3, 2, 2},
          {max_pool, 1, 8}},
         true,
         true,
         true,
         true},
        {1,
         {{3, 5, 3, 5, true}, {4, 2, 5, 7}, {2, 2, 3, 3}, {1, 1, 1, 1}},
         {{separable, 0, 5, 3}, {reduce, 1, 6}, {avg_pool, 1, 5}, {pointwise, 1, 2}, {separable, 3, 3, 5}},
         true,
         true,
         true,
         false,
         false,
         false},
        {1, {{8, 8, 64, 64, true}}, {{separable, 0, 64, 5, 2}, {pointwise, 0, 48}}},
        // Several chunks of channels a block, of which the last is not full, and branches in pieces.
        {2, {{6, 8, 36, 40, true}}, convolutions, true, true, true, true},
        {1, {{4, 10, 36, 40, true}}, convolutions, false, true, false, true, false},
        {1,
         {{4, 10, 20, 20}},
         {{separable, 0, 4, 3},
          {separable, 0, 8, 5, 2},
          {pointwise, 0, 4},
          {max_pool, 0, 20},
          {separable, 0, 20, 3, 1, 2},
          {avg_pool, 0, 20, 3, 1, 2}},
         true,
         true,
         false,
         true},
        {1, {{4, 10, 36, 40}}, convolutions, true, false},
        {1, {{4, 4, 136, 136}}, {{pointwise, 0, 12}}},
        {133, {{2, 2, 4, 4, true}}, {{max_pool, 0, 4}, {separable, 0, 4, 3}}},
        {1, {{2, 2, 4, 4}, {2, 2, 4, 4, true}}, many(60), true, true, false, false, true, true, 2}};
    return all;
}

/// Returns the outputs.
template <class T>
std::vector<Guarded<T>> check_case(const Case& of, unsigned seed, Products products = Products::strict,
                                   bool exact = false) {
    Numbers numbers(seed);
    CellData<T> cell(of.n, of.states, of.branches, numbers, of.aligned);
    if (exact) shorten<T>(cell.depth, 1), shorten<T>(cell.point, 4), shorten<T>(cell.odd, 4);
    Gradients<T> in(cell, numbers, of.aligned);
    for (std::size_t b = 0; exact && b < of.branches.size(); b++) shorten<T>(in.g[b], 4), shorten<T>(in.map[b], 4);
    if (exact) shorten<T>(in.z, 4);
    std::vector<Guarded<T>> all;
    Results want = expected(cell, in);
    std::vector<std::array<Guarded<T>, 3>> before;  // of the weights' gradients
    for (std::size_t b = 0; b < of.branches.size(); b++) {
        before.push_back({numbers.uniform<T>(cell.depth[b].size()), numbers.uniform<T>(cell.point[b].size()),
                          numbers.uniform<T>(cell.odd[b].size())});
        auto add = [&](const Guarded<T>& from, std::vector<Bounded>& to) {
            for (std::size_t i = 0; of.accumulate && i < to.size(); i++) to[i] += bounded(from[i]);
        };
        add(before[b][0], want.ddepth[b]), add(before[b][1], want.dpoint[b]), add(before[b][2], want.dodd[b]);
    }
    in_every_order([&] {
        const std::size_t count = of.branches.size(), states = of.states.size();
        auto weights = before;
        std::vector<Guarded<T>> da, maps;
        std::vector<std::vector<kernels::Skip<T>>> skips(states);
        std::vector<kernels::SourceBackward<T>> sources;
        for (std::size_t s = 0; s < states; s++) {
            da.push_back(of.in_place ? in.skip[s][0] : Guarded<T>(cell.x[s].size(), of.aligned ? 0 : 1));
            for (int j = 0; j < 3; j++) maps.emplace_back(cell.scale[s].size());
        }
        for (std::size_t s = 0; s < states; s++) {
            for (std::size_t k = 0; k < in.skip[s].size(); k++)
                skips[s].push_back(
                    {k == 0 && of.in_place ? da[s].data() : in.skip[s][k].data(), of.states[s].pixel, in.weight(k)});
            kernels::SourceBackward<T>& r = sources.emplace_back();
            r.source = cell.source(s);
            r.skips = skips[s];
            if (!of.states_too) continue;
            r.da = da[s].data(), r.pixel = of.states[s].pixel;
            r.map = {data_of(maps[3 * s]), data_of(maps[3 * s + 1]), data_of(maps[3 * s + 2])};
            if (of.batch) r.mean = in.mean[s].data(), r.rstd = in.rstd[s].data();
        }
        std::vector<std::vector<kernels::BranchGradient<T>>> gradients(count);
        std::vector<kernels::BranchBackward<T>> branches;
        for (std::size_t b = 0; b < count; b++) {
            for (std::size_t i = 0; i < in.g[b].size(); i++)
                gradients[b].push_back(
                    {in.g[b][i].data(),
                     in.pixel(of.branches[b]),
                     {const_cast<T*>(in.map[b][3 * i].data()), const_cast<T*>(in.map[b][3 * i + 1].data()),
                      const_cast<T*>(in.map[b][3 * i + 2].data())}});
            kernels::BranchBackward<T>& r = branches.emplace_back();
            r.branch = cell.branch(b);
            r.branch.z = const_cast<T*>(in.z[b].data()), r.branch.tap = const_cast<std::uint8_t*>(data_of(in.tap[b]));
            r.gradients = gradients[b];
            if (!of.weights) continue;
            // Not every branch wants all, so that one is left out beside the other.
            if (b % 4 != 1) r.ddepth = data_of(weights[b][0]);
            if (b % 4 != 2) r.dpoint = data_of(weights[b][1]);
            r.dpoint_odd = data_of(weights[b][2]);
            r.accumulate_depth = r.accumulate_point = r.accumulate_point_odd = of.accumulate;
        }
        Counting device(precision_of(products));
        Workspace workspace(kernels::branches_backward_workspace<T>(device.stream(), of.n, sources, branches));
        kernels::branches_backward<T>(device.stream(), of.n, sources, branches, workspace.get());
        CHECK(device.launches == of.launches);
        CHECK(workspace.intact());
        std::vector<Guarded<T>> out;
        for (std::size_t s = 0; of.states_too && s < states; s++) {
            CAPTURE(s);
            const std::size_t pixel = static_cast<std::size_t>(of.states[s].pixel),
                              c = static_cast<std::size_t>(of.states[s].c);
            Guarded<T> own(want.da[s].size());
            const Guarded<T> untouched = of.in_place ? in.skip[s][0] : Guarded<T>(da[s].size());
            for (std::size_t i = 0; i < da[s].size(); i++)
                if (i % pixel < c)
                    own[i / pixel * c + i % pixel] = da[s][i];
                else
                    CHECK(std::memcmp(&da[s][i], &untouched[i], sizeof(T)) == 0);
            check_close(own, want.da[s], want.operations[s] + product_operations(products), "da");
            CHECK(da[s].intact());
            out.push_back(own);
            if (cell.scale[s].size() == 0) continue;
            const auto map = map_of(cell, in, s, da[s], of.batch);
            // A thread adds four pixels of a tile in T, products with a rounding; then in double, and one of the
            // result.
            const double tiles = 1 + size_of(of.n, of.states[s].h, of.states[s].w) / (128 * 4);
            for (std::size_t j = 0; j < 3; j++) {
                check_close(maps[3 * s + j], map[j], 4 * tiles + 2, "map");
                out.push_back(maps[3 * s + j]);
            }
        }
        for (std::size_t b = 0; b < count; b++) {
            CAPTURE(b);
            auto check = [&](const T* wanted, const Guarded<T>& got, const std::vector<Bounded>& expect,
                             const Guarded<T>& old) {
                if (!wanted) {
                    CHECK(got.same_bits(old));
                    return;
                }
                const double pixels = static_cast<double>(cell.outputs(b)) / of.branches[b].c_out;
                check_close(
                    got, expect,
                    pixels + 6 + cell.taps(b) * cell.taps(b) + of.branches[b].c_out + product_operations(products),
                    "weights");
                out.push_back(got);
            };
            check(branches[b].ddepth, weights[b][0], want.ddepth[b], before[b][0]);
            check(branches[b].dpoint, weights[b][1], want.dpoint[b], before[b][1]);
            check(branches[b].dpoint_odd, weights[b][2], want.dodd[b], before[b][2]);
        }
        all = out;
        return out;
    });
    return all;
}

TEST_CASE_TEMPLATE("gpu branches_backward", T, float, double) {
    unsigned seed = 400;
    for (const Case& of : cases()) {
        CAPTURE(seed);
        check_case<T>(of, seed++);
    }
}

TEST_CASE("gpu branches_backward in tf32 rounds its factors, and has the strict bits where nothing is rounded") {
    unsigned seed = 470;
    for (Case of : cases()) {
        CAPTURE(seed);
        bool dense = of.aligned, same = true;
        for (const BranchShape& b : of.branches) dense = dense && (b.c_out % (b.kind == reduce ? 8 : 4) == 0);
        for (const StateShape& s : of.states) dense = dense && s.c % 4 == 0;
        const auto strict = check_case<float>(of, seed), got = check_case<float>(of, seed, Products::tf32);
        for (std::size_t i = 0; i < got.size(); i++) same = same && got[i].same_bits(strict[i]);
        CHECK(same == !dense);
        for (StateShape& s : of.states) s.scaled = false;
        const auto short_strict = check_case<float>(of, seed, Products::strict, true),
                   short_got = check_case<float>(of, seed++, Products::exact, true);
        for (std::size_t i = 0; i < short_got.size(); i++) {
            CAPTURE(i);
            CHECK(short_got[i].same_bits(short_strict[i]));
        }
    }
}

TEST_CASE_TEMPLATE("gpu branches_backward lets gradients pass where the state is not-a-number", T, float, double) {
    Numbers numbers(450);
    CellData<T> cell(1, {{4, 5, 4, 4}}, {{separable, 0, 4, 3}}, numbers, true);
    const Gradients<T> in(cell, numbers, true);
    auto gradient = [&](T x) {
        cell.x[0][30] = x;
        Guarded<T> da(cell.x[0].size());
        kernels::SourceBackward<T> source;
        source.source = cell.source(0);
        source.da = da.data(), source.pixel = 4;
        const kernels::BranchGradient<T> g{in.g[0][0].data(),
                                           in.pixel(cell.shapes[0]),
                                           {const_cast<T*>(in.map[0][0].data()), const_cast<T*>(in.map[0][1].data()),
                                            const_cast<T*>(in.map[0][2].data())}};
        kernels::BranchBackward<T> branch;
        branch.branch = cell.branch(0);
        branch.branch.z = const_cast<T*>(in.z[0].data());
        branch.gradients = {&g, 1};
        kernels::branches_backward<T>(kGpu, 1, {&source, 1}, {&branch, 1}, nullptr);
        return da;
    };
    const Guarded<T> open = gradient(1), spoiled = gradient(std::numeric_limits<T>::quiet_NaN()), shut = gradient(0);
    CHECK(open.same_bits(spoiled));
    for (std::size_t i = 0; i < open.size(); i++) CHECK((open[i] == shut[i]) == (i != 30));
    CHECK(shut[30] == 0);
}

}  // namespace
}  // namespace nascent::test
