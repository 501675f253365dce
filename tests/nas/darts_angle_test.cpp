// Angles in the DARTS space against vectors that are really concatenated, path by path.
#include "nas/metric/darts_angle.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/algo/darts_paths.h"
#include "nas/metric/darts_angle_parts.h"
#include "tests/nas/formula_weights.h"

using namespace nascent;
using namespace nascent::darts;
using Ends = AngleSwitches::Ends;

namespace {

/// All paths from an input to an allowed end, as lists of states.
std::vector<std::vector<int>> list_paths(Ends ends) {
    std::vector<std::vector<int>> paths, grow = {{0}, {1}};
    while (!grow.empty()) {
        const std::vector<int> path = grow.back();
        grow.pop_back();
        for (int to = std::max(path.back() + 1, kInputs); to < kInputs + kNodes; ++to) {
            std::vector<int> longer = path;
            longer.push_back(to);
            grow.push_back(longer);
            if (ends == Ends::every_node || to == kInputs + kNodes - 1) paths.push_back(longer);
        }
    }
    return paths;
}

std::size_t edge_between(int from, int to) { return static_cast<std::size_t>(edge_index(to - kInputs, from)); }

bool open(const CellCode& cell, const std::vector<int>& path) {
    for (std::size_t i = 1; i < path.size(); ++i) {
        if (cell[edge_between(path[i - 1], path[i])] == 0) return false;
    }
    return true;
}

CellCode random_cell(std::uint32_t i) {
    CellCode cell{};
    for (std::size_t e = 0; e < kEdges; ++e) {
        const Random r(5, RandomStream::test, i, static_cast<std::uint32_t>(e));
        // Half of the cells have many `none`, half few.
        cell[e] = static_cast<std::uint8_t>(r.below(1, 2) == i % 2 ? 0 : r.below(0, kPrimitives));
    }
    return cell;
}

/// A block of weights before and after, and its sums.
struct Block {
    std::vector<double> w0, w1;
    AngleSums sums() const {
        AngleSums s;
        for (std::size_t i = 0; i < w0.size(); ++i) s += {w0[i] * w1[i], w0[i] * w0[i], w1[i] * w1[i]};
        return s;
    }
};

/// Weights of a small supernet.
struct Weights {
    struct Op {
        Block conv, norm_weight, norm_bias;
    };
    struct Cell {
        int channels;
        bool reduction;
        Op ops[kEdges][kPrimitives];
    };
    std::vector<Cell> cells;
    Block fixed_conv, fixed_norm, classifier_weight, classifier_bias;

    AngleParts parts() const {
        AngleParts p;
        for (const Cell& c : cells) {
            AngleParts::Cell cell{c.channels, c.reduction, {}};
            for (std::size_t e = 0; e < kEdges; ++e) {
                for (std::size_t op = 0; op < kPrimitives; ++op) {
                    const Op& o = c.ops[e][op];
                    cell.ops[e][op] = {o.conv.sums(), o.norm_weight.sums(), o.norm_bias.sums()};
                }
            }
            p.cells.push_back(cell);
        }
        p.fixed_conv = fixed_conv.sums();
        p.fixed_norm = fixed_norm.sums();
        p.classifier_weight = classifier_weight.sums();
        p.classifier_bias = classifier_bias.sums();
        return p;
    }
};

Weights random_weights() {
    Weights w;
    std::uint32_t drawn = 0;
    auto fill = [&](Block& b, std::size_t n, double center) {
        for (std::size_t i = 0; i < n; ++i, ++drawn) {
            const Random r(7, RandomStream::test, 1, drawn);
            b.w0.push_back(center + r.uniform(0) - 0.5);
            b.w1.push_back(b.w0.back() + 2 * (r.uniform(1) - 0.5));
        }
    };
    for (int c = 0; c < 3; ++c) {
        Weights::Cell& cell = w.cells.emplace_back();
        cell.channels = 2 << c;
        cell.reduction = c == 1;
        const auto n = static_cast<std::size_t>(cell.channels);
        for (std::size_t e = 0; e < kEdges; ++e) {
            for (std::size_t op = 1; op < kPrimitives; ++op) {
                Weights::Op& o = cell.ops[e][op];
                const bool strided = cell.reduction && kEdgePlaces[e].from < kInputs;
                const bool pool = op <= 2, skip = op == 3;
                if (skip && !strided) continue;
                if (!pool) fill(o.conv, n * op, 0);
                fill(o.norm_weight, op == 4 || op == 5 ? 2 * n : n, 1);
                fill(o.norm_bias, op == 4 || op == 5 ? 2 * n : n, 0);
            }
        }
    }
    fill(w.fixed_conv, 9, 0);
    fill(w.fixed_norm, 4, 1);
    fill(w.classifier_weight, 12, 0);
    fill(w.classifier_bias, 3, 0);
    return w;
}

/// The vectors themselves, as the published programs build them.
struct Vectors {
    std::vector<double> w0, w1;
    void add(const Block& b) {
        w0.insert(w0.end(), b.w0.begin(), b.w0.end());
        w1.insert(w1.end(), b.w1.begin(), b.w1.end());
    }
    void add(const std::vector<double>& constants) {
        w0.insert(w0.end(), constants.begin(), constants.end());
        w1.insert(w1.end(), constants.begin(), constants.end());
    }
    double angle() const {
        double dot = 0, n0 = 0, n1 = 0;
        for (std::size_t i = 0; i < w0.size(); ++i) dot += w0[i] * w1[i], n0 += w0[i] * w0[i], n1 += w1[i] * w1[i];
        return std::acos(dot / std::sqrt(n0 * n1));
    }
};

Vectors concatenate(const Weights& w, const Code& code, const AngleSwitches& s) {
    Vectors v;
    const auto paths = list_paths(s.ends);
    for (const Weights::Cell& cell : w.cells) {
        const CellCode& ops = code.cell(cell.reduction);
        const auto channels = static_cast<std::size_t>(cell.channels);
        for (const std::vector<int>& path : paths) {
            if (!open(ops, path)) continue;
            for (std::size_t i = 1; i < path.size(); ++i) {
                const std::size_t e = edge_between(path[i - 1], path[i]);
                const std::size_t op = ops[e];
                const Weights::Op& o = cell.ops[e][op];
                const bool strided = cell.reduction && path[i - 1] < kInputs;
                if (op <= 2) {
                    if (s.pool) v.add(std::vector<double>(9 * channels, 1 / 9.0));
                    if (s.pool_norm) v.add(o.norm_weight), v.add(o.norm_bias);
                } else if (op == 3 && !strided) {
                    std::vector<double> eye(channels * channels);
                    for (std::size_t c = 0; c < channels; ++c) eye[c * channels + c] = 1;
                    if (s.identity == AngleSwitches::Identity::eye) v.add(eye);
                } else if (op != 3 || s.strided_skip) {
                    v.add(o.conv);
                    if (s.op_norms)
                        v.add(o.norm_weight), v.add(op >= 6 && s.dil_norm_twice ? o.norm_weight : o.norm_bias);
                }
            }
        }
    }
    v.add(w.fixed_conv);
    if (s.fixed_norms) v.add(w.fixed_norm);
    v.add(w.classifier_weight);
    if (s.classifier_bias) v.add(w.classifier_bias);
    return v;
}

}  // namespace

TEST_CASE("paths over each edge are those of listing them, in 20000 random cells") {
    for (Ends ends : {Ends::every_node, Ends::last_node}) {
        const auto paths = list_paths(ends);
        CHECK(paths.size() == (ends == Ends::every_node ? 30u : 16u));
        int blocked = 0;
        for (std::uint32_t i = 0; i < 20000; ++i) {
            const CellCode cell = random_cell(i);
            std::array<int, kEdges> expected{};
            for (const std::vector<int>& path : paths) {
                if (!open(cell, path)) continue;
                for (std::size_t p = 1; p < path.size(); ++p) ++expected[edge_between(path[p - 1], path[p])];
            }
            REQUIRE(edge_multiplicities(cell, ends) == expected);
            blocked += expected == std::array<int, kEdges>{};
        }
        CHECK(blocked < 10000);
    }
}

TEST_CASE("angles are those of concatenated vectors, under every switch") {
    const Weights w = random_weights();
    const AngleParts parts = w.parts();
    const AngleSwitches none{
        Ends::last_node, AngleSwitches::Identity::none, false, false, false, false, false, false, false};
    std::vector<AngleSwitches> all = {AngleSwitches::rlnas_cifar10(), AngleSwitches::rlnas_imagenet(),
                                      AngleSwitches::anglenas(), none};
    for (int flip = 0; flip < 9; ++flip) {  // one switch each away from RLNAS's
        AngleSwitches s = AngleSwitches::rlnas_imagenet();
        if (flip == 0) s.ends = Ends::last_node;
        if (flip == 1) s.identity = AngleSwitches::Identity::none;
        if (flip == 2) s.strided_skip = false;
        if (flip == 3) s.pool = false;
        if (flip == 4) s.pool_norm = false;
        if (flip == 5) s.op_norms = false;
        if (flip == 6) s.dil_norm_twice = false;
        if (flip == 7) s.fixed_norms = false;
        if (flip == 8) s.classifier_bias = false;
        all.push_back(s);
    }
    for (const AngleSwitches& s : all) {
        const Angle angle(parts, s);
        for (int i = 0; i < 60; ++i) {
            Code code = training_path(2, i);
            if (i % 3 == 1)
                code = {random_cell(static_cast<std::uint32_t>(i)), random_cell(static_cast<std::uint32_t>(i + 1))};
            if (i == 2) code = {};
            const Vectors v = concatenate(w, code, s);
            // Each of three sums of n products is off by at most n epsilon of the sum of absolute products; for vectors
            // at an angle above half a radian that moves the angle by less than four times as much.
            const double expected = v.angle();
            REQUIRE(expected > 0.3);
            CHECK(std::fabs(angle.angle(code) - expected) <
                  16 * static_cast<double>(v.w0.size()) * std::numeric_limits<double>::epsilon());
        }
    }
}

TEST_CASE("constants tie to the bit wherever they stand") {
    const Angle angle(random_weights().parts(), AngleSwitches::anglenas());
    // Two skips and pools exchanged between edges with one path each: nodes 2 and 3 feed nothing else.
    Code a = training_path(1, 0), b = a;
    a.normal = {4, 1, 0, 4, 4, 0, 0, 4, 4, 0, 0, 0, 2, 5};
    b.normal = {4, 2, 0, 4, 4, 0, 0, 4, 4, 0, 0, 0, 1, 5};
    CHECK(angle.angle(a) == angle.angle(b));
    AngleSums cells = angle.sums(a.normal, false);
    cells += angle.sums(a.reduce, true);
    cells += angle.fixed();
    CHECK(std::fabs(angle_of(cells) - angle.angle(a)) < 1e-12);
}

TEST_CASE("names of angles, and networks without cells") {
    CHECK(angle_switches("rlnas-cifar10") == AngleSwitches::rlnas_cifar10());
    CHECK(angle_switches("rlnas-imagenet") == AngleSwitches::rlnas_imagenet());
    CHECK(angle_switches("anglenas") == AngleSwitches::anglenas());
    CHECK_THROWS_AS(angle_switches("rlnas"), Error);
    CHECK_THROWS_AS(Angle({}, {}), Error);
    AngleParts parts = random_weights().parts();
    parts.cells[1].channels = 0;
    CHECK_THROWS_AS(Angle(parts, {}), Error);
}

TEST_CASE("an angle in the DARTS space costs little") {
    const Angle angle(random_weights().parts(), AngleSwitches::rlnas_imagenet());
    std::vector<Code> codes;
    for (int i = 0; i < 1000; ++i) codes.push_back(training_path(1, i));
    double best = 1e9, sum = 0;
    for (int repeat = 0; repeat < 20; ++repeat) {
        const auto start = std::chrono::steady_clock::now();
        for (const Code& c : codes) sum += angle.angle(c);
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
        best = std::min(best, took.count() / static_cast<double>(codes.size()));
    }
    MESSAGE("DARTS angle: ", best, " ns");
    CHECK(std::isfinite(sum));
    CHECK(best < 20000);  // a hang, not a race: the benchmark has the figure
}

TEST_CASE("angles in the DARTS space are those of the published programs") {
    // get_angle() of RLNAS (6a6d838; cifar10 with 4 channels and 3 cells, imagenet) and of AngleNAS's DARTS (c4cb189),
    // run in float64 on the CPU between the weights of formula_weights.h. AngleNAS has one cell for both kinds.
    const Code codes[] = {
        published_codes()[0].code,
        published_codes()[1].code,
        {{1, 2, 3, 0, 7, 0, 0, 3, 3, 0, 0, 0, 2, 6}, {3, 3, 0, 2, 1, 3, 0, 0, 7, 0, 3, 0, 3, 0}},
        {{6, 7, 0, 6, 7, 0, 6, 0, 7, 0, 0, 3, 0, 6}, {3, 2, 0, 3, 3, 0, 0, 3, 1, 0, 0, 0, 7, 3}},
        {},
    };
    auto parts_of = [](const NetConfig& config) {
        const Net net = search_net(config, {.affine = true});
        std::map<std::string, std::pair<std::int64_t, bool>> size;
        for (const StateEntry& e : state_entries(net)) {
            std::int64_t n = 1;
            for (std::int64_t d : e.shape) n *= d;
            size[e.name] = {n, e.shape.size() == 1 && e.name.ends_with("weight")};
        }
        return angle_parts(net, [&](const std::string& name) {
            const auto [n, norm] = size.at(name);
            return nascent_tests::formula_sums(name, n, norm);
        });
    };
    const AngleParts cifar10 = parts_of({.channels = 4, .layers = 3});
    const AngleParts imagenet = parts_of({.stem = Stem::imagenet,
                                          .classes = 1000,
                                          .input_size = 224,
                                          .channels = 48,
                                          .layers = 14,
                                          .stem_multiplier = 1});
    const double of_cifar10[] = {1.023552278481705, 0.999212740783498, 0.935423470578472, 0.859875248284815,
                                 1.024856630457416};
    const double of_imagenet[] = {1.093244448564410, 1.092841490958655, 1.059298160146973, 1.080203304630688,
                                  1.104418040879569};
    const double of_abs[] = {1.107652361875994, 1.107438340357263, 1.104339045052461, 1.107065119786333,
                             1.107662903944149};
    // Sums of up to 3e7 products, in one order there and in another here: relative errors far below 1e-9.
    for (std::size_t i = 0; i < 5; ++i) {
        CAPTURE(i);
        CHECK(std::fabs(Angle(cifar10, AngleSwitches::rlnas_cifar10()).angle(codes[i]) - of_cifar10[i]) < 1e-9);
        CHECK(std::fabs(Angle(imagenet, AngleSwitches::rlnas_imagenet()).angle(codes[i]) - of_imagenet[i]) < 1e-9);
        const Code one{codes[i].normal, codes[i].normal};
        CHECK(std::fabs(Angle(imagenet, AngleSwitches::anglenas()).angle(one) - of_abs[i]) < 1e-9);
    }
    // And the first 200 training paths: the sum of their angles, and that of angle times number.
    double sum = 0, numbered = 0;
    for (int i = 0; i < 200; ++i) {
        const double a = Angle(cifar10, AngleSwitches::rlnas_cifar10()).angle(numpy_training_path(1, i));
        sum += a;
        numbered += (i + 1) * a;
    }
    CHECK(std::fabs(sum - 197.507304686021) < 1e-9);
    CHECK(std::fabs(numbered - 19833.464613262808) < 1e-7);
}
