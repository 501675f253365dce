// The same weights under every switch of an angle.
#include "nas/metric/angle_switches.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/algo/darts_paths.h"
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
    ChainTable twice = table({});
    twice.blocks[1][0].op = 1;
    CHECK_THROWS_AS(ChainAngle{twice}, Error);
    twice.blocks[1].clear();
    CHECK_THROWS_AS(ChainAngle{twice}, Error);
    CHECK_THROWS_AS(ChainAngle{ChainTable{}}, Error);
}
