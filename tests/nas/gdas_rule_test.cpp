// GDAS: of an edge's operators the one that was drawn, and the gradient of all.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/nas/arch_rule_net.h"

using namespace nascent;
using namespace nascent::rule_test;

TEST_CASE("GDAS computes the operator that was drawn, and the alphas get the published gradient or the clean one") {
    Small small;
    const Numbers noise = noise_of(*small.device, 1);
    for (bool bare : {true, false})
        for (std::int64_t epoch : {0, 240}) {
            CAPTURE(bare);
            CAPTURE(epoch);
            ArchRuleOptions o = options(Algo::gdas);
            o.bare_sums = bare;
            auto rule = make_arch_rule(o);
            const double tau = o.temperature.at(epoch);
            const auto run = small.run(rule.get(), epoch, 1);
            // What the definition draws. All operators computed and weighed by 0 and 1 give the same.
            Plain all;
            std::vector<int> chosen;
            nb201::Architecture arch;
            for (std::size_t e = 0; e < edges; e++) {
                const Numbers p = relaxed(row(small.alphas, e), row(noise, e), tau);
                chosen.push_back(static_cast<int>(std::max_element(p.begin(), p.end()) - p.begin()));
                arch.ops[e] = static_cast<nb201::Op>(chosen.back());
                for (int k = 0; k < nb201::kOps; k++) all.given.push_back(k == chosen.back());
            }
            std::vector<int> drawn;
            weights_of(*rule, *small.device, small.alphas, 0, Pass::architecture, epoch, 1, &drawn);
            CHECK(drawn == chosen);
            CHECK(run.loss == doctest::Approx(small.run(&all).loss).epsilon(1e-12));
            // dL/dh: of the operators that run by moving their weights; of the others the sum over a node's gradient,
            // which moving a number that is added to the whole node gives.
            auto quotient = [&](std::size_t weight, bool sums) {
                auto at = [&](double d) {
                    Plain p;
                    p.given = all.given;
                    p.given.resize(edges * ops + nb201::kNodes - 1, 0.0);
                    p.given[weight] += d;
                    p.sums = sums;
                    return small.run(&p).loss;
                };
                return (at(1e-5) - at(-1e-5)) / 2e-5;
            };
            for (std::size_t e = 0; e < edges; e++) {
                const Numbers p = relaxed(row(small.alphas, e), row(noise, e), tau);
                const double node = quotient(edges * ops + static_cast<std::size_t>(nb201::kEdgeList[e].to) - 1, true);
                Numbers dh(ops, bare ? node : 0.0);
                const auto i = static_cast<std::size_t>(chosen[e]);
                dh[i] = quotient(e * ops + i, false);
                double dot = 0;
                for (std::size_t k = 0; k < ops; k++) dot += p[k] * dh[k];
                for (std::size_t k = 0; k < ops; k++) {
                    const double want = p[k] * (dh[k] - dot) / tau;
                    CHECK(std::abs(run.dalphas[e * ops + k] - want) < 1e-7 * (1 + std::abs(want)));
                }
            }
        }
}

TEST_CASE("a cell of one operator an edge is the path's network") {
    Small small;
    const nb201::Architecture archs[] = {
        nb201::parse_architecture("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"),
        nb201::parse_architecture("|none~0|+|none~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"),
        nb201::parse_architecture("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")};
    for (const auto& arch : archs) {
        Plain one, all;
        for (nb201::Op op : arch.ops) {
            one.chosen.push_back(static_cast<int>(op));
            for (int k = 0; k < nb201::kOps; k++) all.given.push_back(k == static_cast<int>(op));
        }
        one.given = all.given;
        CHECK(small.run(&one).loss == doctest::Approx(small.run(&all).loss).epsilon(1e-13));
    }
}
