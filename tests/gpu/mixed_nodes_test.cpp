// The GPU's nodes of a mixed cell and their running statistics against plain loops, on the emulator in three orders of
// the threads.
#include <cstring>

#include "tests/gpu/mixed_cell.h"
#include "tests/gpu/stored.h"

namespace nascent::test {
namespace {

struct Case {
    std::size_t pixels;
    int c;
    std::vector<int> terms;  // of each node
    bool aligned = true;
    int launches = 1;
};
const std::vector<Case>& cases() {
    static const std::vector<Case> all{{300, 8, {3, 1, 0, 7}},
                                       {1, 1, {2}, false},
                                       {37, 20, {9}},
                                       {600, 4, {5}},
                                       {9, 136, {2}},
                                       {5, 3, {4, 2}, false},
                                       {3, 4, {70, 2}, true, 2},
                                       {3, 4, std::vector<int>(20, 1), true, 2}};
    return all;
}

/// Terms in turn: weighted and normed, normed, weighted, neither; some of the normed ones are affine.
template <class T>
struct Nodes {
    int c, pixel, z_pixel;
    std::vector<std::vector<Guarded<T>>> z, scale, shift, gamma, beta;
    std::vector<Guarded<T>> g;
    Guarded<T> weights;
    Guarded<double> mean, rstd;

    Nodes(const Case& of, Numbers& numbers)
        : c(of.c),
          pixel(of.c + 4),
          z_pixel(of.c + 8),
          weights(numbers.uniform<T>(3)),
          mean(numbers.uniform<double>(static_cast<std::size_t>(of.c))),
          rstd(numbers.uniform<double>(static_cast<std::size_t>(of.c))) {
        const std::size_t channels = static_cast<std::size_t>(c);
        for (int terms : of.terms) {
            g.push_back(at_skew(numbers.uniform<T>(of.pixels * static_cast<std::size_t>(pixel)), of.aligned));
            z.emplace_back(), scale.emplace_back(), shift.emplace_back(), gamma.emplace_back(), beta.emplace_back();
            for (int k = 0; k < terms; k++) {
                z.back().push_back(
                    at_skew(numbers.uniform<T>(of.pixels * static_cast<std::size_t>(z_pixel)), of.aligned));
                const std::size_t normed = k % 4 < 2 ? channels : 0;
                scale.back().push_back(at_skew(numbers.uniform<T>(normed), of.aligned));
                shift.back().push_back(at_skew(numbers.uniform<T>(normed), of.aligned));
                const std::size_t affine = k % 8 == 0 || k % 8 == 5 ? normed : 0;
                gamma.back().push_back(at_skew(numbers.uniform<T>(affine), of.aligned));
                beta.back().push_back(at_skew(numbers.uniform<T>(affine), of.aligned));
            }
        }
    }
    kernels::MixedTerm<T> term(std::size_t node, std::size_t k) const {
        return {z[node][k].data(),
                z_pixel,
                data_of(scale[node][k]),
                data_of(shift[node][k]),
                k % 4 == 0 || k % 4 == 2 ? &weights[k % 3] : nullptr,
                {data_of(gamma[node][k]), data_of(beta[node][k])}};
    }
    Bounded weight(std::size_t node, std::size_t k) const {
        const T* w = term(node, k).weight;
        return bounded(w ? *w : T(1));
    }
    Bounded value(std::size_t node, std::size_t k, std::size_t p, std::size_t channel) const {
        Bounded v = bounded(z[node][k][p * static_cast<std::size_t>(z_pixel) + channel]);
        if (scale[node][k].size() == 0) return v;
        v = v * bounded(scale[node][k][channel]);
        v += bounded(shift[node][k][channel]);
        if (gamma[node][k].size() == 0) return v;
        v = v * bounded(gamma[node][k][channel]);
        v += bounded(beta[node][k][channel]);
        return v;
    }
};

TEST_CASE_TEMPLATE("gpu nodes_forward", T, float, double) {
    unsigned seed = 500;
    for (const Case& of : cases()) {
        CAPTURE(seed);
        Numbers numbers(seed++);
        const Nodes<T> in(of, numbers);
        const std::size_t c = static_cast<std::size_t>(of.c), pixel = static_cast<std::size_t>(in.pixel);
        in_every_order([&] {
            std::vector<Guarded<T>> y;
            std::vector<std::vector<kernels::MixedTerm<T>>> terms(of.terms.size());
            std::vector<kernels::MixedNode<T>> nodes;
            for (std::size_t i = 0; i < of.terms.size(); i++) {
                y.emplace_back(of.pixels * pixel, of.aligned ? 0 : 1);
                for (std::size_t k = 0; k < in.z[i].size(); k++) terms[i].push_back(in.term(i, k));
            }
            for (std::size_t i = 0; i < y.size(); i++) nodes.push_back({y[i].data(), in.pixel, terms[i]});
            Counting device;
            kernels::nodes_forward<T>(device.stream(), of.pixels, of.c, nodes);
            CHECK(device.launches == of.launches);
            for (std::size_t i = 0; i < y.size(); i++) {
                std::vector<Bounded> want;
                Guarded<T> own(of.pixels * c);
                for (std::size_t p = 0; p < of.pixels; p++)
                    for (std::size_t channel = 0; channel < pixel; channel++) {
                        const T& got = y[i][p * pixel + channel];
                        if (channel >= c) {
                            CHECK(std::isnan(got));
                            continue;
                        }
                        own[want.size()] = got;
                        Bounded& sum = want.emplace_back();
                        for (std::size_t k = 0; k < in.z[i].size(); k++)
                            sum += in.weight(i, k) * in.value(i, k, p, channel);
                    }
                check_close(own, want, static_cast<double>(of.terms[i]) + 2, "y");  // an affine norm, then one a term
                CHECK(y[i].intact());
            }
            return y;
        });
    }
}

TEST_CASE_TEMPLATE("gpu nodes_forward in the place of the only term", T, float, double, BFloat16) {
    Numbers numbers(590);
    for (const auto& [c, aligned] : {std::pair{16, true}, std::pair{24, true}, std::pair{5, false}}) {
        CAPTURE(c);
        const std::size_t channels = static_cast<std::size_t>(c);
        constexpr std::size_t pixels = 70;
        using V = kernels::Compute<T>;
        const Guarded<V> scale = at_skew(numbers.uniform<V>(channels), aligned),
                         shift = at_skew(numbers.uniform<V>(channels), aligned);
        const Guarded<V> numbers_of_z = numbers.uniform<V>(pixels * channels);
        std::vector<T> z(numbers_of_z.size()), y(z.size());
        for (std::size_t i = 0; i < z.size(); i++)
            if constexpr (std::is_same_v<T, BFloat16>)
                z[i] = {simt::to_bf16(numbers_of_z[i])};
            else
                z[i] = numbers_of_z[i];
        Counting device;
        auto run = [&](T* to) {
            const kernels::MixedTerm<T> term[] = {{z.data(), c, scale.data(), shift.data()}};
            const kernels::MixedNode<T> node[] = {{to, c, term}};
            kernels::nodes_forward<T>(device.stream(), pixels, c, node);
        };
        run(y.data());
        run(z.data());
        CHECK(std::memcmp(z.data(), y.data(), z.size() * sizeof(T)) == 0);
    }
}

/// What is asked of a term: its map with batch statistics, in evaluation, or not; its weight's gradient.
struct Asked {
    bool map, batch, dweight, affine;
};
Asked asked(int mode, std::size_t k) {
    const bool normed = k % 4 < 2;
    if (mode == 0) return {true, true, true, true};           // z of those without a norm is what one made
    if (mode == 1) return {normed, false, k % 3 == 0, true};  // evaluation
    return {normed && k % 5 < 2, k % 5 == 0, k % 5 == 1, k % 8 == 0};
}

TEST_CASE_TEMPLATE("gpu nodes_backward", T, float, double) {
    unsigned seed = 600;
    for (const Case& of : cases())
        for (int mode : {0, 1, 2}) {
            CAPTURE(seed);
            CAPTURE(mode);
            Numbers numbers(seed++);
            const Nodes<T> in(of, numbers);
            const std::size_t c = static_cast<std::size_t>(of.c), count = of.terms.size();
            const Guarded<T> before = numbers.uniform<T>(c);  // of gamma's gradient
            in_every_order([&] {
                std::vector<std::vector<std::array<Guarded<T>, 6>>> out(count);
                std::vector<std::vector<kernels::MixedTermGradient<T>>> terms(count);
                std::vector<kernels::MixedNodeGradient<T>> nodes;
                for (std::size_t i = 0; i < count; i++) {
                    for (std::size_t k = 0; k < in.z[i].size(); k++)
                        out[i].push_back(
                            {Guarded<T>(c), Guarded<T>(c), Guarded<T>(c), Guarded<T>(1), before, Guarded<T>(c)});
                    for (std::size_t k = 0; k < in.z[i].size(); k++) {
                        const Asked a = asked(mode, k);
                        auto& o = out[i][k];
                        kernels::MixedTermGradient<T>& t = terms[i].emplace_back();
                        t.term = in.term(i, k);
                        if (a.batch) t.mean = in.mean.data(), t.rstd = in.rstd.data();
                        if (a.map) t.map = {o[0].data(), o[1].data(), o[2].data()};
                        if (a.dweight) t.dweight = o[3].data();
                        if (a.affine && t.term.affine.gamma) t.affine = {o[4].data(), o[5].data(), mode == 0, false};
                    }
                    nodes.push_back({in.g[i].data(), in.pixel, terms[i]});
                }
                Counting device;
                Workspace workspace(kernels::nodes_backward_workspace<T>(device.stream(), of.pixels, of.c, nodes));
                kernels::nodes_backward<T>(device.stream(), of.pixels, of.c, nodes, workspace.get());
                CHECK(device.launches == 1);
                CHECK(workspace.intact());
                std::vector<Guarded<T>> all;
                for (std::size_t i = 0; i < count; i++)
                    for (std::size_t k = 0; k < in.z[i].size(); k++) {
                        CAPTURE(i);
                        CAPTURE(k);
                        const Asked a = asked(mode, k);
                        std::array<std::vector<Bounded>, 6> want;
                        Bounded& dot = want[3].emplace_back();
                        const bool affine = in.gamma[i][k].size() > 0;
                        const Bounded minus = {-1, 1}, share = bounded(Real(1) / static_cast<Real>(of.pixels));
                        for (std::size_t channel = 0; channel < c; channel++) {
                            Bounded s, sz;
                            for (std::size_t p = 0; p < of.pixels; p++) {
                                const Bounded g = bounded(in.g[i][p * static_cast<std::size_t>(in.pixel) + channel]);
                                s += g;
                                sz += g * bounded(in.z[i][k][p * static_cast<std::size_t>(in.z_pixel) + channel]);
                                dot += g * in.value(i, k, p, channel);
                            }
                            if (affine) {
                                Bounded normed;
                                if (a.batch) {
                                    normed = sz;
                                    normed += minus * bounded(in.mean[channel]) * s;
                                    normed = normed * bounded(in.rstd[channel]);
                                } else {
                                    normed = sz * bounded(in.scale[i][k][channel]);
                                    normed += s * bounded(in.shift[i][k][channel]);
                                }
                                want[4].push_back(in.weight(i, k) * normed);
                                if (mode == 0) want[4].back() += bounded(before[channel]);
                                want[5].push_back(in.weight(i, k) * s);
                            }
                            const Bounded weight =
                                affine ? in.weight(i, k) * bounded(in.gamma[i][k][channel]) : in.weight(i, k);
                            if (!a.map) continue;
                            if (!a.batch) {
                                want[0].push_back(weight * bounded(in.scale[i][k][channel]));
                                want[1].emplace_back(), want[2].emplace_back();
                                continue;
                            }
                            const Bounded mean = bounded(in.mean[channel]), rstd = bounded(in.rstd[channel]);
                            const bool made = in.scale[i][k].size() == 0;
                            Bounded about = sz;
                            if (!made) about = (about += minus * mean * s) * rstd * rstd;
                            const Bounded scale = weight * rstd, slope = minus * scale * about * share;
                            Bounded shift = minus * scale * s * share;
                            if (!made) shift += minus * slope * mean;
                            want[0].push_back(scale), want[1].push_back(slope), want[2].push_back(shift);
                        }
                        // Runs of up to 64 pixels of a thread in T, then in double, and one rounding of the result.
                        const double runs = std::min(64.0, static_cast<double>(of.pixels)) + 2;
                        for (std::size_t j = 0; j < 6; j++) {
                            const bool has = j < 3 ? a.map : j == 3 ? a.dweight : a.affine && affine;
                            if (has)
                                check_close(out[i][k][j], want[j], runs, "a term's gradient");
                            else
                                CHECK(out[i][k][j].same_bits(j == 4 ? before : Guarded<T>(out[i][k][j].size())));
                            all.push_back(out[i][k][j]);
                        }
                    }
                return all;
            });
        }
}

TEST_CASE_TEMPLATE("gpu running_update and running_scales", T, float, double) {
    Numbers numbers(700);
    constexpr double kEps = 1e-5, kMomentum = 0.1;
    for (int count : {1, 5, 600})
        in_every_order([&] {
            std::vector<Guarded<T>> mean, var, scale, shift;
            std::vector<Guarded<double>> batch_mean, batch_rstd;
            std::vector<kernels::RunningNorm<T>> norms;
            std::vector<kernels::RunningScale<T>> scales;
            Numbers same(701);
            for (int i = 0; i < count; i++) {
                const std::size_t c = count == 5 ? 1 + 40 * static_cast<std::size_t>(i) : 3;
                mean.push_back(same.uniform<T>(c)), var.push_back(same.fractions<T>(c, 7, 8, 8));
                batch_mean.push_back(same.uniform<double>(c)), batch_rstd.push_back(same.fractions<double>(c, 7, 8, 8));
                scale.emplace_back(c), shift.emplace_back(c);
                batch_rstd.back()[0] = 1 / std::sqrt(kEps / 2);  // rounding: a variance below zero counts as zero
            }
            const auto mean0 = mean, var0 = var;
            for (std::size_t i = 0; i < mean.size(); i++) {
                const int c = static_cast<int>(mean[i].size());
                norms.push_back({mean[i].data(), var[i].data(), batch_mean[i].data(), batch_rstd[i].data(), i + 1, c});
                scales.push_back({mean[i].data(), var[i].data(), scale[i].data(), shift[i].data(), c});
            }
            Counting device;
            kernels::running_update<T>(device.stream(), kEps, kMomentum, norms);
            kernels::running_scales<T>(device.stream(), kEps, scales);
            CHECK(device.launches == 2 * ((count + 511) / 512));
            for (std::size_t i = 0; i < mean.size(); i++) {
                std::array<std::vector<Bounded>, 4> want;
                for (std::size_t c = 0; c < mean[i].size(); c++) {
                    const Real n = static_cast<Real>(i + 1), r = batch_rstd[i][c],
                               raw = std::max(Real(0), 1 / (r * r) - kEps), unbiased = i > 0 ? raw * n / (n - 1) : raw;
                    Bounded m = bounded((1 - kMomentum) * static_cast<Real>(mean0[i][c]));
                    m += bounded(kMomentum * static_cast<Real>(batch_mean[i][c]));
                    want[0].push_back(m);
                    want[1].push_back(bounded((1 - kMomentum) * static_cast<Real>(var0[i][c]) + kMomentum * unbiased));
                    const Real a = 1 / std::sqrt(static_cast<Real>(var[i][c]) + kEps);
                    want[2].push_back(bounded(a));
                    want[3].push_back(bounded(-static_cast<Real>(mean[i][c]) * a));
                }
                // A few operations in double, and a rounding of the result.
                constexpr double kUnit =
                    std::numeric_limits<T>::epsilon() + 12 * std::numeric_limits<double>::epsilon();
                check_close(mean[i], want[0], 1, "running mean", kUnit);
                check_close(var[i], want[1], 1, "running variance", kUnit);
                check_close(scale[i], want[2], 1, "scale", kUnit);
                check_close(shift[i], want[3], 1, "shift", kUnit);
            }
            std::vector<Guarded<T>> all = mean;
            for (const auto* more : {&var, &scale, &shift}) all.insert(all.end(), more->begin(), more->end());
            return all;
        });
}

}  // namespace
}  // namespace nascent::test
