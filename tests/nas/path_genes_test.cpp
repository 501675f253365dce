// The evolution of SPOS's program, draw by draw where it draws as that does, and without rejection.
#include "nas/algo/path_genes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "engine/base/error.h"
#include "nas/algo/search_limits.h"

using namespace nascent;

namespace {

std::shared_ptr<const ConstrainedPaths> below(const chain::Space& space, std::int64_t macs, std::int64_t params = -1) {
    SposSearchOptions o;
    o.max_flops = macs;
    o.max_params = params;
    return SearchLimits::of(o, space).paths;
}

/// A score that any two candidates almost surely differ in.
double score_of(const Genes& genes) {
    double s = 0;
    for (std::size_t i = 0; i < genes.size(); i++)
        s += static_cast<double>((i * 7 + 3) % 11) * genes[i] + 1e-3 * i * genes[i];
    return s;
}

}  // namespace

TEST_CASE("an evolution in SPOS's numbers scores 50 and then 20 times 50 legal candidates, none twice") {
    const chain::Space space = chain::space("shufflenet");
    const auto limits = below(space, 330'000'000);
    for (auto draws : {PathGenes::Draws::legal, PathGenes::Draws::rejected}) {
        const PathGenes genes(space, limits, draws);
        Evolution evolution(genes, evolution_config(SposSearchOptions{}), NumpyRandom(0));
        int scored = 0;
        std::map<Genes, int> seen;
        while (!evolution.done()) {
            CHECK(evolution.state().candidates.size() == 50);
            evolution.step([&](const std::vector<Genes>& all) {
                std::vector<double> scores;
                for (const Genes& g : all) {
                    scored++;
                    CHECK(seen[g]++ == 0);
                    CHECK(limits->legal(genes.path(g)));
                    scores.push_back(score_of(g));
                }
                return scores;
            });
        }
        CHECK(scored == 1050);
        CHECK(evolution.state().parents.size() == 10);
        CHECK(evolution.state().top.size() == 50);
    }
}

TEST_CASE("random candidates are drawn as SPOS's program draws them") {
    // numpy.random.seed(0); [tuple(numpy.random.randint(4) for i in range(20)) for _ in range(2)], NumPy 1.24.2.
    const chain::Space space = chain::space("shufflenet");
    const PathGenes genes(space, nullptr, PathGenes::Draws::rejected);
    NumpyRandom random(0);
    CHECK(genes.random(random) == Genes{0, 3, 1, 0, 3, 3, 3, 3, 1, 3, 1, 2, 0, 3, 2, 0, 0, 0, 2, 1});
    CHECK(genes.random(random) == Genes{2, 3, 3, 2, 0, 1, 1, 1, 1, 0, 1, 0, 3, 0, 3, 1, 2, 3, 3, 0});
}

TEST_CASE("rare candidates are drawn at once, where rejection would need hundreds of draws") {
    // 0.3 % of MobileNet's paths have at most 475M in AngleNAS's convention.
    const chain::Space space = chain::space("mobilenet");
    const auto limits = below(space, 475'000'000);
    const PathGenes genes(space, limits);
    NumpyRandom random(1);
    std::map<Genes, int> seen;
    for (int i = 0; i < 500; i++) {
        const Genes g = genes.random(random);
        CHECK(genes.legal(g));
        seen[g]++;
    }
    CHECK(seen.size() == 500);
    // Rejection comes to the same number, in some 300 draws for each, however few tries breeding has.
    SposSearchOptions o;
    o.population = 8;
    o.mutation = o.crossover = 0;
    o.tries = 1;
    o.generations = 1;
    const PathGenes drawn(space, limits, PathGenes::Draws::rejected);
    CHECK(Evolution(drawn, evolution_config(o), NumpyRandom(4)).state().candidates.size() == 8);
    o = {};
    o.population = 20;
    o.mutation = o.crossover = 10;
    o.select = 5;
    o.generations = 4;
    Evolution evolution(genes, evolution_config(o), NumpyRandom(2));
    while (!evolution.done())
        evolution.step([](const std::vector<Genes>& all) {
            std::vector<double> scores;
            for (const Genes& g : all) scores.push_back(score_of(g));
            return scores;
        });
    CHECK(std::count_if(evolution.state().visited.begin(), evolution.state().visited.end(),
                        [](const auto& c) { return c.scored; }) == 80);
}

TEST_CASE("genes of channel scales stand behind those of operators") {
    chain::Config config;
    config.first_scale = 2;
    config.last_scale = 5;
    const chain::Space space = chain::space("shufflenet-channels", config);
    const PathGenes genes(space, below(space, 320'000'000, 3'400'000));
    NumpyRandom random(3);
    for (int i = 0; i < 50; i++) {
        const Genes g = genes.random(random);
        REQUIRE(g.size() == 40);
        CHECK(genes.legal(g));
        const chain::Architecture arch = genes.architecture(g);
        CHECK_NOTHROW(chain::validate(space, arch));
        CHECK(genes.genes(arch) == g);
        const Genes mutated = genes.mutate(g, 1, random);
        CHECK_NOTHROW(chain::validate(space, genes.architecture(mutated)));
        CHECK(genes.mutate(g, 0, random) == g);
    }
    CHECK_THROWS_AS(genes.architecture(Genes(20, 0)), Error);
}

TEST_CASE("limits that nothing keeps to are said with the nearest costs") {
    const chain::Space space = chain::space("shufflenet");
    SposSearchOptions o;
    o.max_flops = 270'000'000;
    CHECK_THROWS_WITH_AS(SearchLimits::of(o, space),
                         doctest::Contains("no architecture has MACs (mac) at most 270000000; the nearest that can be "
                                           "reached: 270359360 above"),
                         Error);
    o.max_flops = 275'000'000;
    o.min_params = 3'800'000;
    CHECK_THROWS_WITH_AS(SearchLimits::of(o, space), doctest::Contains("reaches from"), Error);
    CHECK(own_convention(chain::space("mobilenet")) == chain::MacConvention::thop);
    CHECK(own_convention(chain::space("shufflenet-mmrazor")) == chain::MacConvention::mmrazor);
    SposSearchOptions bad;
    bad.pictures = 100;
    CHECK_THROWS_WITH_AS(check(bad), doctest::Contains("the evaluation set is smaller than a batch"), Error);
    bad = {};
    bad.max_latency = 3;
    CHECK_THROWS_WITH_AS(check(bad), doctest::Contains("measure one: spos latency"), Error);
    bad = {};
    bad.mutation = 40;
    CHECK_THROWS_AS(check(bad), Error);
}

TEST_CASE("a shrunk space is all that candidates are drawn from, mutated and crossed in") {
    chain::Config scaled;
    scaled.first_scale = 2;
    scaled.last_scale = 5;
    for (const auto& [name, config] :
         {std::pair("shufflenet", chain::Config{}), {"mobilenet", chain::Config{}}, {"shufflenet-channels", scaled}}) {
        CAPTURE(name);
        const chain::Space space = chain::space(name, config);
        // One, two or three operators of each block, never its first one.
        std::vector<std::vector<int>> left;
        double count = 1;
        for (const chain::Block& b : space.blocks) {
            const std::size_t most = std::min(b.ops.size() - 1, left.size() % 3 + 1);
            left.emplace_back(b.ops.begin() + 1, b.ops.begin() + 1 + static_cast<std::ptrdiff_t>(most));
            count *= static_cast<double>(most);
        }
        const auto within = [&](const Genes& g) {
            for (std::size_t b = 0; b < left.size(); b++)
                if (std::find(left[b].begin(), left[b].end(), g[b]) == left[b].end()) return false;
            return true;
        };
        SposSearchOptions o;
        o.min_flops = 0;  // everything is legal, and counted
        const SearchLimits limits = SearchLimits::of(o, space, left);
        if (!space.channels) CHECK(static_cast<double>(*limits.paths->count()) == count);
        for (const auto draws : {PathGenes::Draws::legal, PathGenes::Draws::rejected}) {
            const PathGenes genes(space, limits.paths, draws, left), whole(space, nullptr);
            NumpyRandom random(5);
            std::map<std::pair<std::size_t, int>, int> drawn, mutated;
            for (int i = 0; i < 300; i++) {
                const Genes g = genes.random(random), m = genes.mutate(g, 0.5, random);
                REQUIRE(within(g));
                REQUIRE(within(m));
                REQUIRE(within(genes.crossover(g, m, random)));
                CHECK(genes.legal(m));
                CHECK(genes.genes(genes.architecture(g)) == g);
                CHECK(genes.path(g).size() == left.size());
                for (std::size_t b = 0; b < left.size(); b++) {
                    drawn[{b, g[b]}]++;
                    if (m[b] != g[b]) mutated[{b, m[b]}]++;
                }
            }
            // All that is left turns up: of three operators each is missed by 300 draws with a chance of (2/3)^300.
            for (std::size_t b = 0; b < left.size(); b++)
                for (int op : left[b]) {
                    CHECK(drawn[{b, op}] > 0);
                    CHECK((mutated[{b, op}] > 0) == (left[b].size() > 1));
                }
            Genes outside = genes.random(random);
            outside[0] = space.blocks[0].ops[0];
            CHECK_NOTHROW(whole.path(outside));
            CHECK_THROWS_AS(genes.path(outside), Error);
        }
        // Constraints over the whole space are over other choices.
        CHECK_THROWS_WITH_AS(PathGenes(space, SearchLimits::of(o, space).paths, PathGenes::Draws::legal, left),
                             doctest::Contains("constraints on"), Error);
        CHECK_THROWS_AS(PathGenes(space, nullptr, PathGenes::Draws::legal, {{0}}), Error);
    }
}

TEST_CASE("a limit that a shrunk space cannot meet is said with the nearest cost that is left") {
    const chain::Space space = chain::space("shufflenet");
    SposSearchOptions o;
    o.max_flops = 330'000'000;
    CHECK_NOTHROW(SearchLimits::of(o, space));
    const std::vector<std::vector<int>> dearest(20, {2});
    const std::int64_t macs =
        chain::cost_of(chain::subnet(space, {std::vector<int>(20, 2), {}}).layers).macs(chain::MacConvention::mac);
    o.max_flops = macs - 1;
    CHECK_THROWS_WITH_AS(
        SearchLimits::of(o, space, dearest),
        doctest::Contains(fmt::format("no architecture has MACs (mac) at most {}; the nearest that can "
                                      "be reached: {} above",
                                      macs - 1, macs)
                              .c_str()),
        Error);
    o.max_flops = macs;
    const SearchLimits one = SearchLimits::of(o, space, dearest);
    CHECK(*one.paths->count() == 1);
    const PathGenes genes(space, one.paths, PathGenes::Draws::legal, dearest);
    // Evolution ends when there is nothing new.
    Evolution evolution(genes, evolution_config(SposSearchOptions{}), NumpyRandom(0));
    int scored = 0;
    while (!evolution.done())
        evolution.step([&](const std::vector<Genes>& all) {
            scored += static_cast<int>(all.size());
            return std::vector<double>(all.size(), 1);
        });
    CHECK(scored == 1);
}
