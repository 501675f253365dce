// What the algorithms make of alphas, and the gradients that come back to them.
#include "nas/algo/arch_rules.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nas/algo/rsps.h"
#include "tests/nas/arch_rule_net.h"

using namespace nascent;
using namespace nascent::rule_test;

TEST_CASE("temperatures by epoch") {
    const Temperature gdas{10, 0.1, Temperature::Way::to_end, 250}, after{10, 1, Temperature::Way::after, 100},
        snas{1, 0.03, Temperature::Way::before, 150}, one{10, 0.1, Temperature::Way::to_end, 1};
    CHECK(gdas.at(0) == 10);
    CHECK(gdas.at(249) == doctest::Approx(0.1).epsilon(1e-12));
    CHECK(gdas.at(100) == doctest::Approx(10 - 9.9 * 100 / 249).epsilon(1e-12));
    CHECK(after.at(0) == 10);
    CHECK(after.at(99) == doctest::Approx(10 - 9 * 0.99).epsilon(1e-12));
    CHECK(snas.at(0) == doctest::Approx(1 - 0.97 / 150).epsilon(1e-12));
    CHECK(snas.at(149) == doctest::Approx(0.03).epsilon(1e-12));
    CHECK(one.at(0) == 10);
}

TEST_CASE("what is drawn is a function of seed, pass, number and matrix") {
    auto device = make_device("cpu", 1);
    const Numbers alphas = golden::input(edges * ops, 5);
    for (Algo algo : {Algo::drnas, Algo::gdas, Algo::snas}) {
        CAPTURE(static_cast<int>(algo));
        auto rule = make_arch_rule(options(algo)), same = make_arch_rule(options(algo));
        ArchRuleOptions o = options(algo);
        o.seed = 4;
        auto seeded = make_arch_rule(o);
        std::vector<int> chosen;
        const Numbers w = weights_of(*rule, *device, alphas, 0, Pass::weights, 0, 9, &chosen);
        CHECK(chosen.size() == (algo == Algo::gdas ? edges : 0));
        CHECK(weights_of(*same, *device, alphas, 0, Pass::weights, 0, 9) == w);
        CHECK(weights_of(*rule, *device, alphas, 0, Pass::weights, 0, 9) == w);
        CHECK(weights_of(*seeded, *device, alphas, 0, Pass::weights, 0, 9) != w);
        CHECK(weights_of(*rule, *device, alphas, 1, Pass::weights, 0, 9) != w);
        CHECK(weights_of(*rule, *device, alphas, 0, Pass::architecture, 0, 9) != w);
        CHECK(weights_of(*rule, *device, alphas, 0, Pass::evaluation, 0, 9) != w);
        CHECK(weights_of(*rule, *device, alphas, 0, Pass::weights, 0, 10) != w);
        for (std::size_t e = 0; e < edges; e++) {
            const Numbers r = row(w, e);
            CHECK(std::accumulate(r.begin(), r.end(), 0.0) == doctest::Approx(1).epsilon(1e-14));
        }
    }
    CHECK(make_arch_rule(options(Algo::darts)) == nullptr);
}

TEST_CASE("random search chooses an operator for each edge, with weights of one") {
    auto device = make_device("cpu", 1);
    const auto rule = make_arch_rule(options(Algo::rsps));
    ArchDraw draw{3};
    for (int number = 0; number < 20; number++) {
        std::vector<int> chosen;
        const Numbers w = weights_of(*rule, *device, Numbers(edges * ops, 0.5), 1, Pass::weights, 0, number, &chosen);
        CHECK(w == Numbers(edges * ops, 1.0));
        draw.begin(Pass::weights, 0, number);
        CHECK(chosen == uniform_choice(draw, 1, edges, ops));
    }
}

TEST_CASE("Gumbel noise is what the Gumbel-max trick needs") {
    auto device = make_device("cpu", 1);
    double sum = 0, squares = 0;
    int n = 0;
    const Numbers alphas{0, std::log(2.0), std::log(4.0), -1000, 0};  // 1 : 2 : 4 : 0 : 1
    Numbers hits(5, 0.0);
    for (int step = 0; step < 4000; step++)
        for (std::size_t e = 0; e < edges; e++) {
            const Numbers g = row(noise_of(*device, step), e);
            for (double v : g) {
                REQUIRE(std::isfinite(v));
                sum += v, squares += v * v, n++;
            }
            Numbers score(5);
            for (std::size_t i = 0; i < 5; i++) score[i] = alphas[i] + g[i];
            hits[static_cast<std::size_t>(std::max_element(score.begin(), score.end()) - score.begin())]++;
        }
    const double mean = sum / n, variance = squares / n - mean * mean, truth = 1.6449340668482264;
    CHECK(std::abs(mean - 0.57721566490153286) < 5 * std::sqrt(truth / n));
    CHECK(std::abs(variance - truth) < 5 * std::sqrt(truth * truth * 4.4 / n));  // kurtosis 5.4
    const double draws = 4000.0 * edges;
    for (std::size_t i = 0; i < 5; i++) {
        const double p = i == 3 ? 0 : (i == 0 || i == 4 ? 1 : i == 1 ? 2 : 4) / 8.0;
        CHECK(std::abs(hits[i] / draws - p) <= 5 * std::sqrt(p * (1 - p) / draws));
    }
}

TEST_CASE("SNAS weighs by concrete variables of the epoch's temperature, and its gradient is theirs") {
    Small small;
    ArchRuleOptions o = options(Algo::snas);
    o.temperature = {1, 0.5, Temperature::Way::after, 4};
    auto rule = make_arch_rule(o);
    for (std::int64_t epoch : {0, 3}) {
        const double tau = 1 - 0.125 * static_cast<double>(epoch);
        const Numbers noise = noise_of(*small.device, 6);
        Plain plain;
        for (std::size_t e = 0; e < edges; e++)
            for (double v : relaxed(row(small.alphas, e), row(noise, e), tau)) plain.given.push_back(v);
        const Numbers w = weights_of(*rule, *small.device, small.alphas, 0, Pass::architecture, epoch, 6);
        for (std::size_t i = 0; i < w.size(); i++) CHECK(w[i] == doctest::Approx(plain.given[i]).epsilon(1e-12));
        const auto run = small.run(rule.get(), epoch, 6);
        CHECK(run.loss == doctest::Approx(small.run(&plain).loss).epsilon(1e-12));
        // Against difference quotients of the whole forward with the noise held.
        for (std::size_t i : {0, 8, 14, 29}) {
            auto at = [&](double d) {
                Numbers moved = small.alphas, given;
                moved[i] += d;
                for (std::size_t e = 0; e < edges; e++)
                    for (double v : relaxed(row(moved, e), row(noise, e), tau)) given.push_back(v);
                Plain p;
                p.given = given;
                return small.run(&p).loss;
            };
            const double quotient = (at(1e-5) - at(-1e-5)) / 2e-5;
            CHECK(std::abs(run.dalphas[i] - quotient) < 1e-7 * (1 + std::abs(quotient)));
        }
    }
}

TEST_CASE("DrNAS: one draw for all cells, the pathwise gradient, the divergence in the alphas' loss") {
    Small small;
    auto rule = make_arch_rule(options(Algo::drnas));
    Plain plain;
    plain.given = weights_of(*rule, *small.device, small.alphas, 0, Pass::architecture, 0, 2);
    const auto run = small.run(rule.get(), 0, 2);
    CHECK(run.loss == small.run(&plain).loss);
    // dL/dweights by quotients, then the draw's own Jacobian.
    Numbers dweights;
    for (std::size_t i = 0; i < plain.given.size(); i++) {
        auto at = [&](double d) {
            Plain p;
            p.given = plain.given;
            p.given[i] += d;
            return small.run(&p).loss;
        };
        dweights.push_back((at(1e-5) - at(-1e-5)) / 2e-5);
    }
    for (std::size_t e = 0; e < edges; e++) {
        double total = 0, dot = 0;
        for (std::size_t o = 0; o < ops; o++) {
            total += concentration(small.alphas[e * ops + o]);
            dot += plain.given[e * ops + o] * dweights[e * ops + o];
        }
        for (std::size_t o = 0; o < ops; o++) {
            const std::size_t i = e * ops + o;
            const double c = concentration(small.alphas[i]), x = plain.given[i];
            const double want =
                (small.alphas[i] > 0 ? 1 : c) * dirichlet_speed(c, total - c, x, 1 - x) * (dweights[i] - dot);
            CHECK(std::abs(run.dalphas[i] - want) < 1e-7 * (1 + std::abs(want)));
        }
    }
    ArchRuleOptions o = options(Algo::drnas);
    o.kl = 0.01;
    auto with = make_arch_rule(o);
    const auto penalised = small.run(with.get(), 0, 2, true), unpenalised = small.run(with.get(), 0, 2, false);
    CHECK(unpenalised.loss == run.loss);
    double divergence = 0;
    for (std::size_t e = 0; e < edges; e++) {
        double total = 0;
        for (double a : row(small.alphas, e)) total += concentration(a);
        divergence += std::lgamma(total) - std::lgamma(5);
        for (std::size_t k = 0; k < ops; k++) {
            const std::size_t i = e * ops + k;
            const double c = concentration(small.alphas[i]);
            divergence += (c - 1) * (digamma(c) - digamma(total)) - std::lgamma(c);
            const double g = (small.alphas[i] > 0 ? 1 : c) * ((c - 1) * trigamma(c) - (total - 5) * trigamma(total));
            CHECK(penalised.dalphas[i] == doctest::Approx(run.dalphas[i] + 0.01 * g).epsilon(1e-10));
        }
    }
    CHECK(penalised.loss == doctest::Approx(run.loss + 0.01 * divergence).epsilon(1e-12));
    // Out of the range of the series.
    CHECK(rule->objection(0) == "");
    CHECK(rule->objection(-6.9) == "");
    CHECK(rule->objection(-7).find("0.000912") != std::string::npos);
    CHECK(rule->objection(99.5).find("arch.lr") != std::string::npos);
}

TEST_CASE("networks of the space darts take rules that weigh all operators, and no others") {
    auto device = make_device("cpu", 1);
    darts::NetConfig config = darts::search_config("cifar10");
    config.channels = 2, config.layers = 3, config.classes = classes, config.input_size = side;
    DartsNet net(*device, DType::f64, darts::search_net(config));
    initialise(net.store(), 5);
    auto forward = [&](Algo algo, Pass pass) {
        auto rule = make_arch_rule(options(algo));
        net.set_rule(rule.get());
        net.begin(pass, 0, 1);
        Arena arena(*device);
        ExecutionScope execution(arena);
        const Tensor x = constants({pictures, side, side, 3}, DType::f64, golden::input(pictures * side * side * 3, 3));
        const Numbers logits = numbers_of(net.logits(x, true));
        net.set_rule(nullptr);
        return logits;
    };
    CHECK(forward(Algo::snas, Pass::weights) == forward(Algo::snas, Pass::weights));
    CHECK(forward(Algo::snas, Pass::weights) != forward(Algo::snas, Pass::architecture));
    CHECK(forward(Algo::snas, Pass::weights) != forward(Algo::darts, Pass::weights));
    CHECK(forward(Algo::drnas, Pass::weights) != forward(Algo::darts, Pass::weights));
}
