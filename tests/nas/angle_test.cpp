#include "nas/metric/angle.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/metric/correlation.h"

using namespace nascent;
using nb201::Architecture;
using nb201::kArchitectures;
using nb201::kEdges;
using nb201::Op;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

AngleRules rules_of(bool pool, bool eye, bool fixed_only) {
    AngleRules rules;
    rules.pool = pool;
    if (eye) rules.identity = AngleRules::Identity::eye;
    if (fixed_only) rules.blocked = AngleRules::Blocked::fixed_only;
    return rules;
}

const std::vector<std::vector<int>> kPaths = {{0, 3}, {0, 2, 3}, {0, 1, 2, 3}, {0, 1, 3}};

bool open(const Architecture& arch, const std::vector<int>& path) {
    for (std::size_t i = 1; i < path.size(); ++i) {
        if (arch.on(path[i], path[i - 1]) == Op::none) return false;
    }
    return true;
}

/// Weights of a small supernet: by cell, edge and operator; initial and trained.
struct Weights {
    struct Block {
        std::vector<double> w0, w1;
    };
    std::vector<int> channels;
    std::vector<std::array<std::array<Block, nb201::kOps>, kEdges>> cells;
    Block fixed;
};

Weights random_weights(const std::vector<int>& channels) {
    Weights w;
    w.channels = channels;
    std::uint32_t drawn = 0;
    auto fill = [&](Weights::Block& block, int n) {
        for (int i = 0; i < n; ++i, ++drawn) {
            Random r(7, RandomStream::test, 0, drawn);
            double start = r.uniform(0) - 0.5;
            block.w0.push_back(start);
            block.w1.push_back(0.4 * start + r.uniform(1) - 0.5);
        }
    };
    fill(w.fixed, 40);
    for (int c : channels) {
        auto& cell = w.cells.emplace_back();
        for (auto& edge : cell) {
            fill(edge[2], c * c);
            fill(edge[3], 9 * c * c);
        }
    }
    return w;
}

AngleSums sums_of(const Weights::Block& b) {
    AngleSums s;
    for (std::size_t i = 0; i < b.w0.size(); ++i) s += {b.w0[i] * b.w1[i], b.w0[i] * b.w0[i], b.w1[i] * b.w1[i]};
    return s;
}

Nb201AngleTable table_of(const Weights& w) {
    Nb201AngleTable table;
    table.fixed = sums_of(w.fixed);
    for (std::size_t c = 0; c < w.cells.size(); ++c) {
        auto& cell = table.cells.emplace_back();
        cell.channels = w.channels[c];
        for (std::size_t e = 0; e < kEdges; ++e) {
            for (std::size_t op = 0; op < nb201::kOps; ++op) cell.ops[e][op] = sums_of(w.cells[c][e][op]);
        }
    }
    return table;
}

/// The vectors as the definition has them: path by path, cell by cell, edge by edge.
Weights::Block concatenate(const Weights& w, const Architecture& arch, const AngleRules& rules) {
    Weights::Block all = w.fixed;
    auto constant = [&](int n, double value) {
        all.w0.insert(all.w0.end(), static_cast<std::size_t>(n), value);
        all.w1.insert(all.w1.end(), static_cast<std::size_t>(n), value);
    };
    for (const auto& path : kPaths) {
        if (!open(arch, path)) continue;
        for (std::size_t c = 0; c < w.cells.size(); ++c) {
            for (std::size_t i = 1; i < path.size(); ++i) {
                auto e = static_cast<std::size_t>(nb201::edge_index(path[i], path[i - 1]));
                Op op = arch.ops[e];
                const auto& block = w.cells[c][e][static_cast<std::size_t>(op)];
                all.w0.insert(all.w0.end(), block.w0.begin(), block.w0.end());
                all.w1.insert(all.w1.end(), block.w1.begin(), block.w1.end());
                int channels = w.channels[c];
                if (op == Op::avg_pool_3x3 && rules.pool) constant(9 * channels, 1.0 / 9);
                if (op == Op::skip_connect && rules.identity == AngleRules::Identity::eye) {
                    for (int r = 0; r < channels; ++r) {
                        constant(r, 0);
                        constant(1, 1);
                        constant(channels - 1 - r, 0);
                    }
                }
            }
        }
    }
    return all;
}

/// A table of random sums for a network of the benchmark's size; values of different operators are unrelated.
Nb201AngleTable random_table() {
    Nb201AngleTable table;
    std::uint32_t drawn = 0;
    auto sums = [&](double scale) {
        Random r(11, RandomStream::test, 0, drawn++);
        double n0 = scale * (1 + r.uniform(0)), n1 = scale * (1 + r.uniform(1));
        return AngleSums{0.3 * std::sqrt(n0 * n1), n0, n1};
    };
    table.fixed = sums(100);
    for (int stage = 0; stage < 3; ++stage) {
        for (int i = 0; i < 5; ++i) {
            auto& cell = table.cells.emplace_back();
            cell.channels = 16 << stage;
            for (auto& edge : cell.ops) {
                edge[2] = sums(10);
                edge[3] = sums(10);
            }
        }
    }
    return table;
}

}  // namespace

TEST_CASE("edge multiplicities are counts of paths") {
    CHECK(edge_multiplicities(nb201::parse_architecture("(1,1,1,1,1,1)")) == std::array<int, 6>{2, 1, 1, 1, 1, 2});
    for (int id = 0; id < kArchitectures; ++id) {
        Architecture arch = Architecture::from_id(id);
        std::array<int, kEdges> times{};
        for (const auto& path : kPaths) {
            if (!open(arch, path)) continue;
            for (std::size_t i = 1; i < path.size(); ++i) {
                ++times[static_cast<std::size_t>(nb201::edge_index(path[i], path[i - 1]))];
            }
        }
        CHECK(edge_multiplicities(arch) == times);
    }
}

TEST_CASE("the table's angle is that of the concatenated vectors") {
    Weights weights = random_weights({2, 3, 4});
    Nb201AngleTable table = table_of(weights);
    for (int rule = 0; rule < 8; ++rule) {
        AngleRules rules = rules_of(rule & 1, rule & 2, rule & 4);
        Nb201Angle angle(table, rules);
        for (int id = rule % 5; id < kArchitectures; id += 5) {
            Architecture arch = Architecture::from_id(id);
            double got = angle.angle(arch);
            if (!nb201::is_connected(arch) && rules.blocked == AngleRules::Blocked::zero) {
                CHECK(got == 0);
                continue;
            }
            Weights::Block all = concatenate(weights, arch, rules);
            AngleSums s = sums_of(all);
            double cosine = s.dot / std::sqrt(s.n0 * s.n1), expected = std::acos(cosine);
            // Each sum of n products of like size errs by at most (n + 1) eps of the sum of their sizes; the cosine's
            // error counts 1 / sin(angle) times.
            double sizes = 0;
            for (std::size_t i = 0; i < all.w0.size(); ++i) sizes += std::abs(all.w0[i] * all.w1[i]);
            auto n = static_cast<double>(all.w0.size());
            double bound =
                2 * (n + 4) * kEpsilon * (sizes / std::sqrt(s.n0 * s.n1) + std::abs(cosine)) / std::sin(expected);
            CHECK(std::abs(got - expected) <= bound);
            CHECK(bound < 1e-10);
        }
    }
}

TEST_CASE("ties of the angle over the space") {
    Nb201AngleTable table = random_table();
    Nb201Angle zero(table), fixed_only(table, rules_of(true, false, true));
    std::vector<double> angles = zero.all_angles(), other = fixed_only.all_angles();
    double fixed = angle_of(table.fixed);
    std::map<double, int> groups;
    int blocked = 0, only_fixed = 0;
    for (std::size_t id = 0; id < angles.size(); ++id) {
        ++groups[angles[id]];
        Architecture arch = Architecture::from_id(static_cast<int>(id));
        bool connected = nb201::is_connected(arch);
        blocked += angles[id] == 0;
        only_fixed += other[id] == fixed;
        CHECK((angles[id] == 0) == !connected);
        if (connected) CHECK(angles[id] == other[id]);
    }
    CHECK(angles.size() == 15625);
    CHECK(blocked == 341);
    CHECK(groups.size() == 3850);
    int largest = 0;
    for (const auto& g : groups) largest = std::max(largest, g.second);
    CHECK(largest == 668);
    CHECK(groups[fixed] == 467);
    CHECK(only_fixed == 341 + 467);
}

TEST_CASE("the formula at its edges") {
    CHECK(angle_of({0, 1, 1}) == doctest::Approx(std::acos(0.0)));
    CHECK(angle_of({-1, 1, 1}) == doctest::Approx(std::acos(-1.0)));
    CHECK(angle_of({1, 1, 1}) == 0);
    CHECK(angle_of({1 + 1e-15, 1, 1}) == 0);  // lifted by rounding
    CHECK(angle_of({0, 0, 0}) == doctest::Approx(std::acos(0.0)));
    CHECK(angle_of({5e-9, 1e-9, 1e-9}) == doctest::Approx(std::acos(0.5)));  // the floor of 1e-16 under the root
    CHECK(std::isnan(angle_of({kNaN, 1, 1})));
    CHECK(std::isnan(angle_of({1, kNaN, 1})));
    CHECK(std::isnan(angle_of({1, 1, kNaN})));
    CHECK_THROWS_AS(Nb201Angle({.cells = {Nb201AngleTable::Cell{}}, .fixed = {}}), Error);
}

TEST_CASE("ranking the whole space takes far less than a second") {
    Nb201AngleTable table = random_table();
    auto start = std::chrono::steady_clock::now();
    std::vector<int> order = rank_descending(Nb201Angle(table).all_angles());
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    CHECK(order.size() == 15625);
    CHECK(seconds.count() < 1);
    MESSAGE("15 625 angles ranked in " << 1e3 * seconds.count() << " ms");
}
