// The same weights under every switch of an angle.
#include "nas/metric/angle_switches.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/algo/darts_paths.h"
#include "nas/metric/correlation.h"
#include "nas/metric/darts_angle_parts.h"

using namespace nascent;

namespace {

AngleSums drawn(std::uint32_t i, double size, double turned) {
    const Random r(3, RandomStream::test, 3, i);
    const double n0 = size * (0.5 + r.uniform(0)), n1 = size * (0.5 + r.uniform(1));
    return {std::sqrt(n0 * n1) * std::cos(turned * (0.5 + r.uniform(0))), n0, n1};
}

}  // namespace

TEST_CASE("sums of a DARTS network's parameters fall where they belong") {
    const darts::Net net = darts::search_net({.channels = 4, .layers = 3}, {.affine = true});
    // Every parameter counts one: the parts then count parameters.
    std::map<std::string, int> asked;
    const darts::AngleParts parts = darts::angle_parts(net, [&](const std::string& name) {
        ++asked[name];
        return AngleSums{1, 1, 1};
    });
    std::size_t trained = 0;
    for (const darts::StateEntry& e : darts::state_entries(net)) {
        if (!e.trained) continue;
        ++trained;
        CHECK(asked[e.name] == 1);
    }
    CHECK(asked.size() == trained);
    CHECK(parts.cells.size() == 3);
    CHECK(parts.cells[1].reduction);
    CHECK(parts.cells[2].channels == 16);
    const auto& normal = parts.cells[0].ops[3];
    CHECK(normal[0].conv.n0 == 0);
    CHECK(normal[1].norm_weight.n0 == 1);  // a pool's
    CHECK(normal[1].norm_bias.n0 == 1);
    CHECK(normal[3].conv.n0 == 0);  // an identity has nothing
    CHECK(normal[4].conv.n0 == 4);
    CHECK(normal[5].norm_weight.n0 == 2);
    CHECK(normal[6].conv.n0 == 2);
    CHECK(normal[7].norm_bias.n0 == 1);
    CHECK(parts.cells[1].ops[0][3].conv.n0 == 2);  // a FactorizedReduce
    CHECK(parts.cells[1].ops[13][3].conv.n0 == 0);
    CHECK(parts.classifier_weight.n0 == 1);
    CHECK(parts.classifier_bias.n0 == 1);
    // Stem, and two preprocessings a cell, of which the one behind a reduction is a FactorizedReduce.
    CHECK(parts.fixed_conv.n0 == 1 + 3 * 2 + 1);
    CHECK(parts.fixed_norm.n0 == 2 * (1 + 3 * 2));
    CHECK_THROWS_AS(darts::angle_parts(darts::evaluation_net({.channels = 4, .layers = 3},
                                                             darts::to_genotype(darts::published_codes()[0].code)),
                                       {}),
                    Error);
}

TEST_CASE("a table of switches") {
    const darts::Net net = darts::search_net({.channels = 4, .layers = 3}, {.affine = true});
    std::uint32_t i = 0;
    const darts::AngleParts parts = darts::angle_parts(
        net, [&](const std::string& name) { return drawn(i++, name.find("bias") != std::string::npos ? 0.3 : 5, 1); });
    std::vector<darts::Code> codes;
    for (int step = 0; step < 100; ++step) codes.push_back(darts::training_path(1, step));
    const auto base = darts::AngleSwitches::rlnas_cifar10();
    const AngleComparison c = compare_switches(parts, codes, base, "rlnas-cifar10");
    CHECK(c.variants.size() == 1 + 9 + 2);
    std::set<std::string> names;
    for (std::size_t v = 0; v < c.variants.size(); ++v) {
        CAPTURE(c.variants[v].name);
        names.insert(c.variants[v].name);
        CHECK(std::fabs(c.tau[v][v] - 1) < 1e-15);  // a quotient of counts under two roots
        CHECK(c.tau[v][0] == c.tau[0][v]);
        CHECK(std::fabs(c.tau[v][0]) < 1 + 1e-15);
        if (v > 0) CHECK(c.variants[v].angles != c.variants[0].angles);  // every switch does something
        CHECK(c.best[v] >= 0);
    }
    CHECK(names.size() == c.variants.size());
    CHECK(c.variants[0].angles[7] == darts::Angle(parts, base).angle(codes[7]));
    const std::size_t bias = 9;
    CHECK(c.variants[bias].name == "classifier bias on");
    CHECK(c.variants[bias].angles == c.variants[10].angles);  // which is RLNAS on ImageNet
    CHECK(c.variants[10].name == "rlnas-imagenet");
    CHECK(to_text(c).find("norm of dil_conv twice off") != std::string::npos);
    CHECK_FALSE(to_json(c).text().empty());
}

TEST_CASE("a table of switches of NAS-Bench-201") {
    using nb201::Op;
    Nb201AngleTable table;
    table.cells.push_back({.channels = 2, .ops = {}});
    std::uint32_t i = 0;
    for (auto& edge : table.cells[0].ops) {
        for (Op op : {Op::nor_conv_1x1, Op::nor_conv_3x3}) edge[static_cast<std::size_t>(op)] = drawn(i++, 4, 1);
    }
    table.fixed = drawn(i++, 2, 1);
    using Identity = AngleRules::Identity;
    using Blocked = AngleRules::Blocked;
    struct Row {
        AngleRules base;
        std::array<AngleRules, 3> others;
        std::array<const char*, 3> names;
    };
    for (const Row& row : {Row{{true, Identity::none, Blocked::zero},
                               {{{false, Identity::none, Blocked::zero},
                                 {true, Identity::eye, Blocked::zero},
                                 {true, Identity::none, Blocked::fixed_only}}},
                               {"pools off", "identity eye", "cells without a path: fixed blocks"}},
                           Row{{false, Identity::eye, Blocked::fixed_only},
                               {{{true, Identity::eye, Blocked::fixed_only},
                                 {false, Identity::none, Blocked::fixed_only},
                                 {false, Identity::eye, Blocked::zero}}},
                               {"pools on", "identity none", "cells without a path: 0"}}}) {
        const AngleComparison c = compare_switches(table, row.base);
        REQUIRE(c.variants.size() == 4);
        CHECK(c.variants[0].angles == Nb201Angle(table, row.base).all_angles());
        for (std::size_t v = 0; v < 3; ++v) {
            CHECK(c.variants[v + 1].name == row.names[v]);
            CHECK(c.variants[v + 1].angles == Nb201Angle(table, row.others[v]).all_angles());
            CHECK(c.variants[v + 1].angles != c.variants[0].angles);
        }
    }
}

TEST_CASE("comparisons of angles by hand, as text and as JSON") {
    const AngleComparison c = compare({{"up", {1, 2, 4}}, {"down", {5, 3, 1}}, {"mixed", {0, 2, 1}}});
    const double third = kendall_tau_b(std::vector<double>{1, 2, 3}, std::vector<double>{0, 2, 1}).value;
    CHECK(third == doctest::Approx(1.0 / 3).epsilon(1e-15));
    const std::vector<double> mean = {7.0 / 3, 3, 1};
    const std::vector<std::vector<double>> tau = {{1, -1, third}, {-1, 1, -third}, {third, -third, 1}};
    CHECK(c.best == std::vector<int>{2, 0, 1});
    REQUIRE(c.tau.size() == 3);
    const auto j = nlohmann::json::parse(to_json(c).text());
    CHECK(j.size() == 3);
    const std::string matrix = tau_text(c), list = to_text(c);
    for (std::size_t v = 0; v < 3; ++v) {
        const std::string& name = c.variants[v].name;
        CHECK(c.mean[v] == doctest::Approx(mean[v]).epsilon(1e-15));
        CHECK(j.at(name).at("mean") == c.mean[v]);
        CHECK(j.at(name).at("best") == c.best[v]);
        std::string line = fmt::format("{:>3} {:<36}", v + 1, name);
        for (std::size_t w = 0; w < 3; ++w) {
            CHECK(c.tau[v][w] == doctest::Approx(tau[v][w]).epsilon(1e-15));
            CHECK(j.at(name).at("tau_b").at(c.variants[w].name) == c.tau[v][w]);
            line += fmt::format(" {:>7.4f}", tau[v][w]);
        }
        CHECK(matrix.find("\n" + line + "\n") != std::string::npos);
        CHECK(list.find(fmt::format("\n{:<36} {:>10.6f} {:>8.4f} {:>6}\n", name, mean[v], tau[v][0], c.best[v])) !=
              std::string::npos);
    }
    CHECK(matrix.find("       1       2       3\n") != std::string::npos);
    CHECK(std::count(matrix.begin(), matrix.end(), '\n') == 4);
    CHECK(std::count(list.begin(), list.end(), '\n') == 4);
}

TEST_CASE("a table of switches of a chain") {
    std::vector<std::vector<BottleneckSums>> blocks(5, std::vector<BottleneckSums>(3));
    std::uint32_t i = 1000;
    for (auto& block : blocks) {
        for (BottleneckSums& b : block) {
            for (int k = 0; k < 3; ++k) b.conv[k] = drawn(i++, 4, 0.9), b.norm[k] = drawn(i++, 2, 0.2);
        }
    }
    const AngleSums convs = drawn(i++, 4, 1), norms = drawn(i++, 1, 0.2), weight = drawn(i++, 3, 1),
                    bias = drawn(i++, 0.4, 1.2);
    auto table = [&](const ChainAngleRules& rules) {
        ChainTable t;
        t.base = base_sums(convs, norms, weight, bias, rules);
        for (const auto& block : blocks) {
            auto& choices = t.blocks.emplace_back();
            for (const BottleneckSums& b : block)
                choices.push_back({static_cast<int>(choices.size()), block_sums(b, rules), 1});
            choices.push_back({-1, identity_sums(3, 2, rules), 0});
        }
        return t;
    };
    std::vector<std::vector<int>> archs;
    for (int a = 0; a < 200; ++a)
        archs.push_back({a % 4 - 1, a / 4 % 4 - 1, a / 16 % 4 - 1, a * 7 % 4 - 1, a * 3 % 4 - 1});
    const AngleComparison c = compare_switches(table, archs, ChainAngleRules::rlnas(), "rlnas");
    CHECK(c.variants.size() == 1 + 5 + 1);
    for (std::size_t v = 1; v < c.variants.size(); ++v) CHECK(c.variants[v].angles != c.variants[0].angles);
    // By hand: RLNAS counts identities as min(in, out) ones, two norms a block, and nothing but weights elsewhere.
    AngleSums sums = convs;
    sums += weight;
    const std::vector<int> arch = {0, -1, 2, -1, 1};
    for (std::size_t b = 0; b < 5; ++b) {
        if (arch[b] < 0) {
            sums += {2, 2, 2};
            continue;
        }
        const BottleneckSums& s = blocks[b][static_cast<std::size_t>(arch[b])];
        for (const AngleSums& part : {s.conv[0], s.conv[1], s.conv[2], s.norm[0], s.norm[1]}) sums += part;
    }
    CHECK(std::fabs(ChainAngle(table(ChainAngleRules::rlnas())).angle(arch) - angle_of(sums)) < 1e-12);
    // AngleNAS: convolutions and the classifier's weight.
    AngleSums bare = convs;
    bare += weight;
    for (std::size_t b : {0u, 2u, 4u}) {
        for (int k = 0; k < 3; ++k) bare += blocks[b][static_cast<std::size_t>(arch[b])].conv[k];
    }
    const ChainAngle anglenas(table(ChainAngleRules::anglenas()));
    CHECK(std::fabs(anglenas.angle(arch) - angle_of(bare)) < 1e-12);
    const std::vector<std::uint8_t> places = {0, 3, 2, 3, 1};
    CHECK(anglenas.angle_at(places) == anglenas.angle(arch));
    CHECK_THROWS_AS(anglenas.angle(std::vector<int>{0, 1}), Error);
    CHECK_THROWS_AS(anglenas.angle(std::vector<int>{0, 1, 2, 3, 1}), Error);
    CHECK_THROWS_AS(compare({{"a", {1, 2}}, {"b", {1}}}), Error);
    ChainTable priced = table({});
    priced.base_cost = 1000;
    std::int64_t expected = 1000, least = 1000;
    for (std::size_t b = 0; b < 5; ++b) {
        for (std::size_t choice = 0; choice < 4; ++choice)
            priced.blocks[b][choice].cost = static_cast<std::int64_t>(20 + 30 * b + 5 * (choice * 3 % 4));
        expected += priced.blocks[b][arch[b] < 0 ? 3 : static_cast<std::size_t>(arch[b])].cost;
        least += static_cast<std::int64_t>(20 + 30 * b);
    }
    CHECK(cost_of(priced, arch) == expected);
    CHECK(cheapest(priced) == least);
    ChainTable twice = table({});
    twice.blocks[1][0].op = 1;
    CHECK_THROWS_AS(ChainAngle{twice}, Error);
    twice.blocks[1].clear();
    CHECK_THROWS_AS(ChainAngle{twice}, Error);
    CHECK_THROWS_AS(ChainAngle{ChainTable{}}, Error);
}
