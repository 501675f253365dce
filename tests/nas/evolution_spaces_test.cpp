// The searches of RLNAS on DARTS and on MobileNet visit what the published programs visit.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "engine/base/error.h"
#include "nas/algo/evolution_json.h"
#include "nas/algo/gene_spaces.h"
#include "tests/nas/digest.h"
#include "tests/nas/gene_landscapes.h"
#include "tests/nas/mobilenet_costs.h"

using namespace nascent;
using namespace nascent::test;

namespace {

enum class Space { cifar10, imagenet, mobilenet };

/// Costs of the operators of the imagenet rows, alike on all edges, limit 420.
darts::CodeCosts toy_costs() {
    darts::CodeCosts costs;
    for (auto& cell : costs.ops) {
        for (auto& edge : cell) edge = {0, 0, 0, 0, 40, 60, 30, 35};
    }
    return costs;
}

}  // namespace

TEST_CASE("searches on DARTS and MobileNet visit what the originals visit, in their order") {
    // From the search classes of megvii-model/RLNAS (6a6d838), run under NumPy 1.24.2 with the angle replaced by the
    // functions above and, on DARTS, FLOPs by toy_costs(): the CRC-32 of all scored candidates and the population after
    // them, of the lists of 10 and 50, and the next 32-bit draw.
    struct Expected {
        Space space;
        Score score;
        std::uint32_t seed;
        std::size_t candidates;
        const char *scored, *kept;
        std::int64_t next;
    };
    const Expected all[] = {
        {Space::cifar10, ties, 1, 1050, "e90c6385", "169642e4", 1113855355},
        {Space::imagenet, ties, 1, 1050, "11c67438", "e2ea80bc", 4122387227},
        {Space::mobilenet, ties, 1, 1050, "5cc0c74b", "09b3c342", 2658880083},
        {Space::cifar10, smooth, 1, 1050, "6a054ebe", "4085d84c", 2086076766},
        {Space::imagenet, smooth, 1, 1050, "1cc987e2", "fe1a9017", 3345566293},
        {Space::mobilenet, smooth, 1, 1050, "e3554da1", "2eaccf6e", 1429600299},
        {Space::cifar10, ties, 3, 1050, "68c1e3c0", "61cd184c", 3305359263},
        {Space::imagenet, ties, 3, 1050, "fe0ce8bc", "9a4e61bf", 168611010},
        {Space::mobilenet, ties, 3, 1050, "fad0157a", "e3c4280d", 4282906708},
        {Space::cifar10, smooth, 3, 1050, "656dcc84", "a689fb12", 3909627308},
        {Space::imagenet, smooth, 3, 1050, "a7796e82", "e24b8e4b", 689217585},
        {Space::mobilenet, smooth, 3, 1050, "d9536202", "f656748d", 3627319685},
    };
    const ChainTable chain = nascent_tests::mobilenet_costs();
    const darts::CodeCosts costs = toy_costs();
    const DartsGenes cifar10(DartsGenes::cifar10(), {});
    DartsGenes::Rules limited = DartsGenes::imagenet();
    CHECK(limited.max_cost == 600000000);
    limited.max_cost = 420;
    const DartsGenes imagenet(limited, costs);
    const ChainGenes mobilenet(chain, 475000000);
    for (const Expected& e : all) {
        CAPTURE(e.scored);
        const GeneSpace& space = e.space == Space::cifar10    ? static_cast<const GeneSpace&>(cifar10)
                                 : e.space == Space::imagenet ? static_cast<const GeneSpace&>(imagenet)
                                                              : mobilenet;
        const EvolutionConfig config = e.space == Space::mobilenet ? mobilenet_evolution() : darts_evolution();
        std::optional<Evolution> search(std::in_place, space, config, NumpyRandom(e.seed));
        std::string scored;
        while (!search->done()) {
            scored += bytes_of(search->state(), search->state().candidates);
            search->step(each(e.score));
            if (search->state().generation == 7) {  // killed and resumed from its file
                const std::string text = evolution_to_json(search->state());
                search.emplace(space, config, evolution_from_json(text, "state"));
            }
        }
        const EvolutionState& s = search->state();
        CHECK(s.generation == 20);
        CHECK(s.visited.size() == e.candidates);
        CHECK(nascent_tests::crc32(scored + bytes_of(s, s.candidates)) == e.scored);
        CHECK(nascent_tests::crc32(bytes_of(s, s.parents) + bytes_of(s, s.top)) == e.kept);
        CHECK(NumpyRandom(s.random).randint(0, std::int64_t{1} << 32) == e.next);
    }
}

TEST_CASE("first draw of the MobileNet search") {
    const ChainTable chain = nascent_tests::mobilenet_costs();
    const ChainGenes space(chain, 475000000);
    NumpyRandom random(1);
    const Genes first = space.random(random);
    CHECK(first == Genes{5, 3, 4, 0, 1, 3, 5, 0, 0, 1, 4, 5, 4, -1, 1, 2, 4, -1, 5, 2, 4});
    CHECK(cost_of(chain, first) == 664738616);
    CHECK_FALSE(space.legal(first));
    CHECK(cost_of(chain, Genes{2, 0, -1, 2, 2, 0, 2, 4, 0, 4, 4, 2, 4, 2, 4, 2, 0, 0, 0, 2, 2}) == 473248184);
    CHECK_THROWS_AS(ChainGenes(chain, 100000000), Error);
}

TEST_CASE("limits and rules of the DARTS genes") {
    darts::CodeCosts costs = toy_costs();
    costs.base = 7;
    CHECK_THROWS_AS(DartsGenes({.max_cost = 6}, costs), Error);
    const DartsGenes never({.mutate_reduction = true, .mutate_to_none = false}, {});
    NumpyRandom random(2);
    const Genes mutated = never.mutate(Genes(28, 0), 1.0, random);
    for (int g : mutated) CHECK(g > 0);
    // A limit of nothing is a limit.
    const DartsGenes free({.max_cost = 0}, toy_costs());
    CHECK(free.legal(Genes(28, 1)));
    CHECK_FALSE(free.legal(Genes(28, 4)));
    const ChainTable table{{}, 0, {{{1, {}, 0}, {2, {}, 5}}}};
    CHECK(ChainGenes(table, 0).legal({1}));
    CHECK_FALSE(ChainGenes(table, 0).legal({2}));
    const DartsGenes normal_only(DartsGenes::imagenet(), costs);
    const Genes half = normal_only.mutate(Genes(28, 0), 1.0, random);
    for (std::size_t i = 0; i < 28; ++i) CHECK((half[i] > 0) == (i < 14));
}
