// RLNAS's search on DARTS and MobileNet, both ways.
#include "nas/algo/angle_search.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/metric/darts_angle_parts.h"
#include "tests/nas/mobilenet_costs.h"

using namespace nascent;
using Method = AngleSearchRequest::Method;

namespace {

AngleSums drawn(std::uint32_t i, double size) {
    const Random r(4, RandomStream::test, 5, i);
    const double n0 = size * (0.5 + r.uniform(0)), n1 = size * (0.5 + r.uniform(1));
    return {std::sqrt(n0 * n1) * std::cos(0.4 + r.uniform(0)), n0, n1};
}

}  // namespace

TEST_CASE("evolution and solving side by side on DARTS") {
    const darts::NetConfig config{.channels = 8, .layers = 5};
    std::uint32_t i = 0;
    const darts::AngleParts parts = darts::angle_parts(darts::search_net(config, {.affine = true}),
                                                       [&](const std::string&) { return drawn(i++, 5); });
    const darts::Angle angle(parts, darts::AngleSwitches::rlnas_cifar10());
    const darts::CodeCosts costs = darts::code_costs(config, darts::MacConvention::thop);
    AngleSearchRequest request;
    request.evolution = darts_evolution();
    request.max_cost = costs.of(darts::training_path(1, 0));
    int generations = 0;
    std::optional<EvolutionState> middle;
    request.each = [&](const EvolutionState& s) {
        if (++generations == 9) middle = s;
    };
    const AngleSearch both = search_darts(angle, costs, request, DartsGenes::cifar10());
    CHECK(generations == 20);
    CHECK(both.scored == 1000);
    CHECK(both.exact);
    CHECK(both.best->angle >= both.evolved->angle);
    CHECK(both.best->cost <= request.max_cost);
    CHECK(both.evolved->cost <= request.max_cost);
    CHECK(both.winner().genes == both.best->genes);

    // Killed after nine generations and gone on.
    AngleSearchRequest rest = request;
    rest.state = middle;
    rest.method = Method::evolution;
    rest.each = [](const EvolutionState&) {};
    const AngleSearch resumed = search_darts(angle, costs, rest, DartsGenes::cifar10());
    CHECK(resumed.evolved->genes == both.evolved->genes);
    CHECK_FALSE(resumed.best);

    // Below what any candidate costs evolution would draw for ever; what hardly one keeps to is solved for.
    rest = request;
    rest.max_cost = costs.base - 1;
    for (Method method : {Method::evolution, Method::exact, Method::both}) {
        rest.method = method;
        CHECK_THROWS_AS(search_darts(angle, costs, rest, DartsGenes::cifar10()), Error);
    }
    rest.max_cost = costs.base + 1;
    rest.method = Method::exact;
    const AngleSearch cheapest = search_darts(angle, costs, rest, DartsGenes::cifar10());
    CHECK(cheapest.best->cost <= rest.max_cost);
    CHECK(cheapest.exact);

    const auto json = nlohmann::json::parse(
        to_json(both, [&](const AngleSearch::Candidate& c) { return describe_darts(c, config); }).text());
    CHECK(json["distance"].get<double>() == both.best->angle - both.evolved->angle);
    CHECK(json["exact"]["proved"] == true);
    CHECK(json["winner"]["macs"]["thop"].get<std::int64_t>() == both.best->cost);
    CHECK(darts::to_numbers(darts::parse_code(json["winner"]["genotype"].get<std::string>())) == both.best->genes);
    CHECK(to_text(both, [](const AngleSearch::Candidate&) { return "it"; }).find("proved") != std::string::npos);
}

TEST_CASE("evolution and solving side by side on a chain") {
    ChainTable table = nascent_tests::mobilenet_costs();
    std::uint32_t i = 0;
    table.base = drawn(i++, 200);
    for (auto& block : table.blocks) {
        for (ChainChoice& c : block) c.sums = drawn(i++, 30);
    }
    const ChainAngle angle(table);
    AngleSearchRequest request;
    request.evolution = mobilenet_evolution();
    request.max_cost = 475'000'000;
    const AngleSearch both = search_chain(angle, request);
    CHECK(both.exact);
    CHECK(both.best->angle >= both.evolved->angle);
    request.method = Method::exact;
    const AngleSearch exact = search_chain(angle, request);
    CHECK_FALSE(exact.evolved);
    CHECK(exact.best->genes == both.best->genes);
    request.max_cost = 1;
    CHECK_THROWS_AS(search_chain(angle, request), Error);
}
