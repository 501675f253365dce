// What comes back to a mixed cell's branches, with random numbers, and what plain loops make of it.
#pragma once
#include <algorithm>

#include "tests/gpu/mixed_cell.h"

namespace nascent::test {

/// What goes in besides a cell's states and weights.
template <class T>
struct Gradients {
    std::vector<Guarded<T>> z;  // of branches
    std::vector<Guarded<std::uint8_t>> tap;
    std::vector<std::vector<Guarded<T>>> g, map;  // of a branch's gradients; map: scale, slope, shift of each
    std::vector<std::vector<Guarded<T>>> skip;    // of a state: as far apart as its pixels; every other has a weight
    Guarded<T> weights;
    std::vector<Guarded<double>> mean, rstd;

    Gradients(const CellData<T>& cell, Numbers& numbers, bool aligned) : weights(numbers.uniform<T>(2)) {
        for (std::size_t b = 0; b < cell.shapes.size(); b++) {
            const BranchShape& s = cell.shapes[b];
            z.push_back(at_skew(numbers.uniform<T>(cell.outputs(b)), aligned));
            std::vector<std::uint8_t> taps;
            cell.forward(b, taps);
            std::copy(taps.begin(), taps.end(), tap.emplace_back(taps.size()).begin());
            g.emplace_back(), map.emplace_back();
            for (int i = 0; i < (s.pool() ? 1 + static_cast<int>(b) % 3 : 1); i++) {
                g.back().push_back(at_skew(numbers.uniform<T>(cell.outputs(b) / static_cast<std::size_t>(s.c_out) *
                                                              static_cast<std::size_t>(pixel(s))),
                                           aligned));
                for (int j = 0; j < 3; j++)
                    map.back().push_back(at_skew(numbers.uniform<T>(static_cast<std::size_t>(s.c_out)), aligned));
            }
        }
        for (std::size_t s = 0; s < cell.states.size(); s++) {
            skip.emplace_back();
            for (int i = 0; i < 2 - static_cast<int>(s) % 2; i++)
                skip.back().push_back(at_skew(numbers.uniform<T>(cell.x[s].size()), aligned));
            mean.push_back(numbers.uniform<double>(static_cast<std::size_t>(cell.states[s].c)));
            rstd.push_back(numbers.uniform<double>(static_cast<std::size_t>(cell.states[s].c)));
        }
    }
    static int pixel(const BranchShape& s) { return s.c_out + 4 * (s.source % 2 == 0); }
    const T* weight(std::size_t i) const { return i % 2 ? &weights[i / 2] : nullptr; }

    Bounded dz(const CellData<T>& cell, std::size_t b, std::size_t at) const {
        const std::size_t c_out = static_cast<std::size_t>(cell.shapes[b].c_out), c = at % c_out;
        Bounded sum;
        for (std::size_t i = 0; i < g[b].size(); i++) {
            sum += bounded(g[b][i][at / c_out * static_cast<std::size_t>(pixel(cell.shapes[b])) + c]) *
                   bounded(map[b][3 * i][c]);
            sum += bounded(z[b][at]) * bounded(map[b][3 * i + 1][c]);
            sum += bounded(map[b][3 * i + 2][c]);
        }
        return sum;
    }
};

/// Of all states (n, h, w, c), and of all branches' weights.
struct Results {
    std::vector<std::vector<Bounded>> da, ddepth, dpoint, dodd;
    std::vector<double> operations;  // of a state's gradient
};

template <class T>
Results expected(const CellData<T>& cell, const Gradients<T>& in) {
    Results r;
    for (std::size_t s = 0; s < cell.states.size(); s++) {
        const StateShape& i = cell.states[s];
        r.da.emplace_back(size_of(cell.n, i.h, i.w, i.c));
        r.operations.push_back(static_cast<double>(in.skip[s].size()) + 1);
        for (std::size_t k = 0; k < in.skip[s].size(); k++)
            for (std::size_t at = 0; at < r.da[s].size(); at++) {
                const std::size_t c = static_cast<std::size_t>(i.c);
                const T* weight = in.weight(k);
                r.da[s][at] += bounded(in.skip[s][k][at / c * static_cast<std::size_t>(i.pixel) + at % c]) *
                               bounded(weight ? *weight : T(1));
            }
    }
    for (std::size_t b = 0; b < cell.shapes.size(); b++) {
        const BranchShape& shape = cell.shapes[b];
        const std::size_t s = static_cast<std::size_t>(shape.source);
        const int c = cell.states[s].c;
        auto& da = r.da[s];
        auto& ddepth = r.ddepth.emplace_back(cell.depth[b].size());
        r.dpoint.emplace_back(cell.point[b].size());
        r.dodd.emplace_back(cell.odd[b].size());
        r.operations[s] += 4.0 * static_cast<double>(in.g[b].size()) + shape.c_out + cell.taps(b) * cell.taps(b) + 2;
        auto index = [&](int i, int y, int x, int channel) {
            return cell.pixel(s, i, y, x) * static_cast<std::size_t>(c) + static_cast<std::size_t>(channel);
        };
        if (shape.pool()) {
            cell.for_outputs(b, [&](int i, int oy, int ox) {
                int count = 0;
                cell.for_taps(b, 0, oy, ox, [&](int, int, int) { count++; });
                for (int channel = 0; channel < c; channel++) {
                    const std::size_t at = cell.at(b, i, oy, ox, channel);
                    const Bounded g = in.dz(cell, b, at);
                    cell.for_taps(b, 0, oy, ox, [&](int t, int y, int x) {
                        if (shape.kind == BranchKind::avg_pool)
                            da[index(i, y, x, channel)].add_product(g, Real(1) / count);
                        if (shape.kind == BranchKind::max_pool && in.tap[b][at] == t) da[index(i, y, x, channel)] += g;
                    });
                }
            });
            continue;
        }
        for (const Half<T>& half : cell.halves(b)) {
            const auto d = cell.deep(b, half.offset);
            auto& dpoint = half.offset ? r.dodd[b] : r.dpoint[b];
            std::size_t p = 0;
            cell.for_outputs(b, [&](int i, int oy, int ox) {
                std::vector<Bounded> dz(static_cast<std::size_t>(half.count));
                for (int o = 0; o < half.count; o++)
                    dz[static_cast<std::size_t>(o)] = in.dz(cell, b, cell.at(b, i, oy, ox, half.first + o));
                for (int channel = 0; channel < c; channel++) {
                    Bounded dd;
                    for (std::size_t o = 0; o < dz.size(); o++) {
                        const std::size_t at = static_cast<std::size_t>(channel) * dz.size() + o;
                        dd.add_product(dz[o], (*half.point)[at]);
                        dpoint[at] += d[p] * dz[o];
                    }
                    p++;
                    cell.for_taps(b, half.offset, oy, ox, [&](int t, int y, int x) {
                        const Bounded a = cell.a(s, i, y, x, channel);
                        if (a.value > 0) da[index(i, y, x, channel)].add_product(dd, cell.weight(b, t, channel));
                        if (!ddepth.empty()) ddepth[size_of(t, c) + static_cast<std::size_t>(channel)] += a * dd;
                    });
                }
            });
        }
    }
    return r;
}

/// What a state's gradient is to the norm behind it.
template <class T>
std::array<std::vector<Bounded>, 3> map_of(const CellData<T>& cell, const Gradients<T>& in, std::size_t s,
                                           const Guarded<T>& da, bool batch) {
    std::array<std::vector<Bounded>, 3> want;
    const StateShape& i = cell.states[s];
    const std::size_t pixels = size_of(cell.n, i.h, i.w), pixel = static_cast<std::size_t>(i.pixel);
    for (std::size_t c = 0; c < static_cast<std::size_t>(i.c); c++) {
        if (!batch) {
            want[0].push_back(bounded(cell.scale[s][c])), want[1].push_back({}), want[2].push_back({});
            continue;
        }
        Bounded sum, product;
        for (std::size_t p = 0; p < pixels; p++) {
            sum += bounded(da[p * pixel + c]);
            product += bounded(da[p * pixel + c]) * bounded(cell.x[s][p * pixel + c]);
        }
        const Bounded mean = bounded(in.mean[s][c]), rstd = bounded(in.rstd[s][c]), minus = {-1, 1},
                      share = bounded(Real(1) / static_cast<Real>(pixels));
        Bounded about = product;
        about += minus * mean * sum;
        const Bounded slope = minus * rstd * rstd * rstd * about * share;
        Bounded shift = minus * rstd * sum * share;
        shift += minus * slope * mean;
        want[0].push_back(rstd), want[1].push_back(slope), want[2].push_back(shift);
    }
    return want;
}

}  // namespace nascent::test
