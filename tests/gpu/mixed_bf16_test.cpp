// The passes of a mixed cell over pictures stored as bf16: what comes out is, bit for bit, the nearest bf16 of what the
// same pass makes of the same numbers stored as floats, whose tests say what that is; norms are of what is stored.
#include "tests/gpu/mixed_gradients.h"
#include "tests/gpu/stored.h"

namespace nascent::test {
namespace {

using enum BranchKind;

template <class S>
using Kept = std::conditional_t<std::is_same_v<S, float>, Guarded<float>, Bits>;
inline float* elements(Guarded<float>& v) { return v.data(); }
inline const float* elements(const Guarded<float>& v) { return v.data(); }
template <class S>
Kept<S> kept(const Guarded<float>& v, bool aligned) {
    if constexpr (std::is_same_v<S, float>)
        return at_skew(v, aligned);
    else
        return stored(v, aligned);
}
template <class S>
Kept<S> outputs(std::size_t size, bool aligned) {
    return Kept<S>(size, aligned ? 0 : 1);
}

/// Where the floats' pass wrote nothing, neither may the other.
void check_nearest(const std::vector<Bits>& got, const std::vector<Guarded<float>>& want) {
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); i++) {
        CAPTURE(i);
        CHECK(got[i].intact());
        REQUIRE(got[i].size() == want[i].size());
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < got[i].size(); j++)
            wrong +=
                std::isnan(want[i][j]) ? !std::isnan(from_stored(got[i][j])) : got[i][j] != simt::to_bf16(want[i][j]);
        CHECK(wrong == 0);
    }
}
void check_same(const std::vector<Guarded<float>>& got, const std::vector<Guarded<float>>& want) {
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); i++) {
        CAPTURE(i);
        CHECK(got[i].intact());
        CHECK(got[i].same_bits(want[i]));
    }
}

struct Case {
    int n;
    std::vector<StateShape> states;
    std::vector<BranchShape> branches;
    bool aligned = true, norms = true, in_place = false;
};
/// All kinds, whole and halved; channels in eights, in fours and of odd numbers; a block's worth and more; a second
/// chunk; more channels than shared memory holds.
const std::vector<Case>& cases() {
    static const std::vector<Case> all{
        {2,
         {{9, 18, 16, 24}},
         {{separable, 0, 16, 3},
          {max_pool, 0, 16},
          {separable, 0, 8, 5, 2},
          {avg_pool, 0, 16},
          {separable, 0, 16, 3, 2},
          {pointwise, 0, 24}}},
        {3,
         {{6, 8, 4, 4, true}, {5, 7, 8, 8}},
         {{reduce, 0, 8},
          {separable, 0, 8, 3, 1, 2},
          {separable, 0, 4, 5, 2, 2},
          {max_pool, 1, 8, 3, 1, 2},
          {avg_pool, 1, 8, 3, 1, 2},
          {separable, 1, 4, 3, 2, 2}},
         true,
         true,
         true},
        {1,
         {{3, 5, 3, 5, true}, {4, 2, 5, 7}},
         {{separable, 0, 5, 3}, {reduce, 1, 6}, {avg_pool, 1, 5}, {max_pool, 1, 5}, {pointwise, 1, 2}},
         false},
        {1, {{3, 2, 600, 600}}, {{separable, 0, 4, 5, 2}, {max_pool, 0, 600}}},
        {1, {{8, 8, 36, 36, true}}, {{separable, 0, 40, 3}, {pointwise, 0, 36}}},
        {35, {{2, 2, 8, 8}}, {{max_pool, 0, 8}, {separable, 0, 8, 3}}, true, false}};
    return all;
}

/// A cell whose states are the nearest bf16s.
CellData<float> cell_of(const Case& of, Numbers& numbers) {
    CellData<float> cell(of.n, of.states, of.branches, numbers, of.aligned);
    for (Guarded<float>& x : cell.x) x = at_skew(rounded(numbers.uniform<float>(x.size())), of.aligned);
    return cell;
}
template <class S>
kernels::Source<S> source(const CellData<float>& cell, std::size_t s, const Kept<S>& x) {
    const kernels::Source<float> of = cell.source(s);
    return {elements(x), of.h, of.w, of.c, of.pixel, of.scale, of.shift};
}
template <class S>
kernels::Branch<S> branch(const CellData<float>& cell, std::size_t b) {
    const kernels::Branch<float> of = cell.branch(b);
    kernels::Branch<S> r{of.kind, of.source, of.c_out, of.k, of.dilation, of.stride};
    r.depth = of.depth, r.point = of.point, r.point_odd = of.point_odd;
    return r;
}

/// Pictures, and what is float.
template <class S>
struct Outputs {
    std::vector<Kept<S>> stored;
    std::vector<Guarded<float>> floats;
    std::vector<Guarded<double>> norms;
    std::vector<Guarded<std::uint8_t>> taps;
};
/// Its bits in every order; f(S{}) the outputs.
template <class F>
Outputs<BFloat16> checked(F&& f) {
    std::vector<Outputs<BFloat16>> first;
    for (auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
        simt::set_order(order, 11);
        const Outputs<BFloat16> got = f(BFloat16{});
        if (first.empty()) first.push_back(got);
        auto same = [](const auto& a, const auto& b) {
            for (std::size_t i = 0; i < a.size(); i++) CHECK(a[i].same_bits(b[i]));
        };
        same(got.stored, first[0].stored), same(got.floats, first[0].floats);
        same(got.norms, first[0].norms), same(got.taps, first[0].taps);
    }
    simt::set_order(simt::Order::forward);
    return first[0];
}

TEST_CASE("gpu branches_forward of bf16") {
    unsigned seed = 900;
    for (const Case& of : cases()) {
        CAPTURE(seed);
        constexpr double kEps = 1e-3;
        Numbers numbers(seed++);
        const CellData<float> cell = cell_of(of, numbers);
        const std::size_t count = of.branches.size();
        auto run = [&]<class S>(S) {
            Outputs<S> out;
            std::vector<Kept<S>> x;
            std::vector<kernels::Source<S>> sources;
            std::vector<kernels::Branch<S>> branches;
            for (const Guarded<float>& v : cell.x) x.push_back(kept<S>(v, of.aligned));
            for (std::size_t s = 0; s < x.size(); s++) sources.push_back(source<S>(cell, s, x[s]));
            for (std::size_t b = 0; b < count; b++) {
                const std::size_t c = static_cast<std::size_t>(of.norms ? of.branches[b].c_out : 0);
                out.stored.push_back(outputs<S>(cell.outputs(b), of.aligned));
                out.taps.emplace_back(of.branches[b].kind == max_pool ? cell.outputs(b) : 0);
                for (int i : {0, 1}) out.floats.emplace_back(c + 0 * i), out.norms.emplace_back(c);
            }
            for (std::size_t b = 0; b < count; b++) {
                kernels::Branch<S>& r = branches.emplace_back(branch<S>(cell, b));
                r.z = elements(out.stored[b]), r.tap = data_of(out.taps[b]);
                r.mean = data_of(out.norms[2 * b]), r.rstd = data_of(out.norms[2 * b + 1]);
                r.scale = data_of(out.floats[2 * b]), r.shift = data_of(out.floats[2 * b + 1]);
            }
            Workspace workspace(kernels::branches_forward_workspace<S>(kTf32, of.n, sources, branches));
            kernels::branches_forward<S>(kTf32, of.n, kEps, sources, branches, workspace.get());
            CHECK(workspace.intact());
            return out;
        };
        const Outputs<BFloat16> got = checked(run);
        const Outputs<float> want = run(float{});
        check_nearest(got.stored, want.stored);
        for (std::size_t b = 0; b < count; b++) {
            CAPTURE(b);
            CHECK(got.taps[b].same_bits(want.taps[b]));
            if (!of.norms) continue;
            const auto norm = norm_of(floats(got.stored[b]), of.branches[b].c_out, kEps);
            constexpr double kUnit = std::numeric_limits<float>::epsilon();
            const double sums = 2 * std::numeric_limits<double>::epsilon() * static_cast<double>(cell.outputs(b));
            check_close(got.norms[2 * b], norm[0], 1, "mean", 4 * kUnit + sums);
            check_close(got.norms[2 * b + 1], norm[1], 1, "rstd", 5 * kUnit + sums);
            check_close(got.floats[2 * b], norm[2], 1, "scale", 6 * kUnit + sums);
            check_close(got.floats[2 * b + 1], norm[3], 1, "shift", 6 * kUnit + sums);
        }
    }
}

TEST_CASE("gpu branches_backward of bf16") {
    unsigned seed = 930;
    for (const Case& of : cases()) {
        CAPTURE(seed);
        Numbers numbers(seed++);
        const CellData<float> cell = cell_of(of, numbers);
        Gradients<float> in(cell, numbers, of.aligned);
        for (auto* all : {&in.g, &in.skip})
            for (auto& each : *all)
                for (auto& v : each) v = at_skew(rounded(v), of.aligned);
        for (auto& v : in.z) v = at_skew(rounded(v), of.aligned);
        const std::size_t count = of.branches.size(), states = of.states.size();
        auto run = [&]<class S>(S) {
            Outputs<S> out;
            std::vector<Kept<S>> x, z;
            std::vector<std::vector<Kept<S>>> g(count), skip(states);
            std::vector<std::vector<kernels::Skip<S>>> skips(states);
            std::vector<std::vector<kernels::BranchGradient<S>>> gradients(count);
            std::vector<kernels::SourceBackward<S>> sources;
            std::vector<kernels::BranchBackward<S>> branches;
            for (std::size_t s = 0; s < states; s++) {
                x.push_back(kept<S>(cell.x[s], of.aligned));
                for (const auto& v : in.skip[s]) skip[s].push_back(kept<S>(v, of.aligned));
                out.stored.push_back(of.in_place ? skip[s][0] : outputs<S>(cell.x[s].size(), of.aligned));
                for (int i = 0; i < 3; i++) out.floats.emplace_back(cell.scale[s].size());
            }
            for (std::size_t b = 0; b < count; b++) {
                out.floats.emplace_back(cell.depth[b].size()), out.floats.emplace_back(cell.point[b].size());
                out.floats.emplace_back(cell.odd[b].size());
                z.push_back(kept<S>(in.z[b], of.aligned));
                for (const auto& v : in.g[b]) g[b].push_back(kept<S>(v, of.aligned));
            }
            for (std::size_t s = 0; s < states; s++) {
                for (std::size_t k = 0; k < skip[s].size(); k++)
                    skips[s].push_back({k == 0 && of.in_place ? elements(out.stored[s]) : elements(skip[s][k]),
                                        of.states[s].pixel, in.weight(k)});
                kernels::SourceBackward<S>& r = sources.emplace_back();
                r.source = source<S>(cell, s, x[s]);
                r.skips = skips[s];
                r.da = elements(out.stored[s]), r.pixel = of.states[s].pixel;
                r.map = {data_of(out.floats[3 * s]), data_of(out.floats[3 * s + 1]), data_of(out.floats[3 * s + 2])};
                r.mean = in.mean[s].data(), r.rstd = in.rstd[s].data();
            }
            for (std::size_t b = 0; b < count; b++) {
                auto map = [&](std::size_t i) { return const_cast<float*>(in.map[b][i].data()); };
                for (std::size_t i = 0; i < g[b].size(); i++)
                    gradients[b].push_back(
                        {elements(g[b][i]), in.pixel(of.branches[b]), {map(3 * i), map(3 * i + 1), map(3 * i + 2)}});
                kernels::BranchBackward<S>& r = branches.emplace_back();
                r.branch = branch<S>(cell, b);
                r.branch.z = elements(z[b]), r.branch.tap = data_of(in.tap[b]);
                r.gradients = gradients[b];
                r.ddepth = data_of(out.floats[3 * (states + b)]), r.dpoint = data_of(out.floats[3 * (states + b) + 1]);
                r.dpoint_odd = data_of(out.floats[3 * (states + b) + 2]);
            }
            Workspace workspace(kernels::branches_backward_workspace<S>(kTf32, of.n, sources, branches));
            kernels::branches_backward<S>(kTf32, of.n, sources, branches, workspace.get());
            CHECK(workspace.intact());
            return out;
        };
        const Outputs<BFloat16> got = checked(run);
        const Outputs<float> want = run(float{});
        check_nearest(got.stored, want.stored);
        auto weights = [&](const std::vector<Guarded<float>>& all) {
            return std::vector(all.begin() + static_cast<std::ptrdiff_t>(3 * states), all.end());
        };
        check_same(weights(got.floats), weights(want.floats));
        for (std::size_t s = 0; s < states; s++) {
            if (cell.scale[s].size() == 0) continue;
            const auto map = map_of(cell, in, s, floats(got.stored[s]), true);
            const double tiles = 1 + size_of(of.n, of.states[s].h, of.states[s].w) / (128 * 4);
            for (std::size_t j = 0; j < 3; j++) check_close(got.floats[3 * s + j], map[j], 4 * tiles + 2, "map");
        }
    }
}

TEST_CASE("gpu nodes of bf16") {
    struct Sums {
        std::size_t pixels;
        int c;
        std::vector<int> terms;  // of each node
        bool aligned = true;
    };
    unsigned seed = 960;
    for (const Sums& of : {Sums{300, 8, {3, 1, 0, 7}},
                           {1, 1, {2}, false},
                           {37, 20, {9}},
                           {600, 24, {5}},
                           {9, 136, {2}},
                           {5, 3, {4, 2}, false},
                           {33, 16, {2}, false}}) {
        CAPTURE(seed);
        Numbers numbers(seed++);
        const std::size_t c = static_cast<std::size_t>(of.c), nodes = of.terms.size();
        const int pixel = of.c + 8;
        std::vector<std::vector<Guarded<float>>> z(nodes), vectors(nodes);
        std::vector<Guarded<float>> g;
        const Guarded<float> weights = numbers.uniform<float>(3);
        const Guarded<double> mean = numbers.uniform<double>(c), rstd = numbers.uniform<double>(c);
        for (std::size_t i = 0; i < nodes; i++) {
            g.push_back(rounded(numbers.uniform<float>(of.pixels * static_cast<std::size_t>(pixel))));
            for (int k = 0; k < of.terms[i]; k++) {
                z[i].push_back(rounded(numbers.uniform<float>(of.pixels * static_cast<std::size_t>(pixel))));
                for (int v = 0; v < 4; v++) vectors[i].push_back(at_skew(numbers.uniform<float>(c), of.aligned));
            }
        }
        // In turn weighted and normed, normed, weighted, a constant; every fifth is affine.
        auto run = [&]<class S>(S) {
            Outputs<S> out;
            std::vector<std::vector<Kept<S>>> stored_z(nodes);
            std::vector<Kept<S>> stored_g;
            std::vector<std::vector<kernels::MixedTerm<S>>> terms(nodes);
            std::vector<std::vector<kernels::MixedTermGradient<S>>> back(nodes);
            std::vector<kernels::MixedNode<S>> forward;
            std::vector<kernels::MixedNodeGradient<S>> backward;
            for (std::size_t i = 0; i < nodes; i++) {
                out.stored.push_back(outputs<S>(of.pixels * static_cast<std::size_t>(pixel), of.aligned));
                stored_g.push_back(kept<S>(g[i], of.aligned));
                for (std::size_t k = 0; k < z[i].size(); k++) {
                    stored_z[i].push_back(kept<S>(z[i][k], of.aligned));
                    for (int v = 0; v < 3; v++) out.floats.emplace_back(c, of.aligned ? 0 : 1);
                    out.floats.emplace_back(1);
                }
            }
            std::size_t result = 0;
            for (std::size_t i = 0; i < nodes; i++) {
                for (std::size_t k = 0; k < z[i].size(); k++, result += 4) {
                    const Guarded<float>* v = &vectors[i][4 * k];
                    const bool normed = k % 4 != 2, constant = k % 4 == 3;
                    kernels::MixedTerm<S>& t = terms[i].emplace_back();
                    t.z = constant ? nullptr : elements(stored_z[i][k]), t.pixel = constant ? 0 : pixel;
                    if (normed) t.scale = v[0].data(), t.shift = v[1].data();
                    if (normed && k % 5 == 0) t.affine = {v[2].data(), v[3].data()};
                    if (k % 2 == 0) t.weight = &weights[k % 3];
                    kernels::MixedTermGradient<S>& b = back[i].emplace_back();
                    b.term = t;
                    b.dweight = out.floats[result + 3].data();
                    if (constant) continue;
                    b.map = {out.floats[result].data(), out.floats[result + 1].data(), out.floats[result + 2].data()};
                    if (normed && k % 3 != 1) b.mean = mean.data(), b.rstd = rstd.data();
                }
                forward.push_back({elements(out.stored[i]), pixel, terms[i]});
                backward.push_back({elements(stored_g[i]), pixel, back[i]});
            }
            kernels::nodes_forward<S>(kGpu, of.pixels, of.c, forward);
            Workspace workspace(kernels::nodes_backward_workspace<S>(kGpu, of.pixels, of.c, backward));
            kernels::nodes_backward<S>(kGpu, of.pixels, of.c, backward, workspace.get());
            CHECK(workspace.intact());
            return out;
        };
        const Outputs<BFloat16> got = checked(run);
        const Outputs<float> want = run(float{});
        check_nearest(got.stored, want.stored);
        check_same(got.floats, want.floats);
        for (std::size_t i = 0, result = 0; i < nodes; i++)  // a constant's gradient is of its vector
            for (std::size_t k = 0; k < z[i].size(); k++, result += 4) {
                if (k % 4 != 3) continue;
                Bounded sum;
                for (std::size_t p = 0; p < of.pixels; p++)
                    for (std::size_t channel = 0; channel < c; channel++)
                        sum += bounded(g[i][p * static_cast<std::size_t>(pixel) + channel]) *
                               bounded(vectors[i][4 * k + 1][channel]);
                check_close(got.floats[result + 3], {sum}, 66, "dweight");  // runs of 64 pixels in float
            }
    }
}

}  // namespace
}  // namespace nascent::test
