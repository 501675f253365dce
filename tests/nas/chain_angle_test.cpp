// Angles of MobileNets against the published programs.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "engine/base/error.h"
#include "nas/metric/chain_angle_parts.h"
#include "nas/space/chain_published.h"
#include "tests/nas/formula_weights.h"
#include "tests/nas/mobilenet_costs.h"

using namespace nascent;

TEST_CASE("angles of MobileNets are those of the published programs") {
    // get_angle() of RLNAS's MobileNet search (6a6d838) and of AngleNAS's SPOS (c4cb189), run in float64 on the CPU
    // between the weights of formula_weights.h.
    const chain::Space space = chain::space("mobilenet");
    const chain::Net net = chain::supernet(space);
    std::map<std::string, std::pair<std::int64_t, bool>> size;
    for (const chain::StateEntry& e : chain::state_entries(net.layers)) {
        if (!e.trained) continue;
        std::int64_t n = 1;
        for (std::int64_t d : e.shape) n *= d;
        size[e.name] = {n, e.shape.size() == 1 && e.name.ends_with("weight")};
    }
    CHECK(size.size() == 1148);
    std::set<std::string> asked;
    const chain::AngleParts parts = chain::angle_parts(net, [&](const std::string& name) {
        CHECK(asked.insert(name).second);
        const auto [n, norm] = size.at(name);
        return nascent_tests::formula_sums(name, n, norm);
    });
    CHECK(asked.size() == size.size());
    const std::vector<int> archs[] = {
        chain::published_architecture(space, "RLNAS").ops,
        {5, -1, 3, 5, 5, 4, 2, 2, 5, 2, -1, 2, 2, 0, -1, -1, 0, -1, 2, 3, 1},
        {0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1, 4, -1, -1, -1, 5},
    };
    const double of_rlnas[] = {1.100148346761767, 1.099838809784994, 1.099976716167435};
    const double of_anglenas[] = {1.106722538008380, 1.106825869521773, 1.106359039082867};
    const ChainAngle rlnas(chain::angle_table(space, parts, ChainAngleRules::rlnas()));
    const ChainAngle anglenas(chain::angle_table(space, parts, ChainAngleRules::anglenas()));
    for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        CHECK(std::fabs(rlnas.angle(archs[i]) - of_rlnas[i]) < 1e-9);
        CHECK(std::fabs(anglenas.angle(archs[i]) - of_anglenas[i]) < 1e-9);
    }
    // Costs by another count.
    const ChainTable by_hand = nascent_tests::mobilenet_costs();
    CHECK(rlnas.table().base_cost == by_hand.base_cost);
    for (std::size_t b = 0; b < 21; ++b) {
        REQUIRE(rlnas.table().blocks[b].size() == by_hand.blocks[b].size());
        for (std::size_t c = 0; c < by_hand.blocks[b].size(); ++c) {
            CHECK(rlnas.table().blocks[b][c].op == by_hand.blocks[b][c].op);
            CHECK(rlnas.table().blocks[b][c].cost == by_hand.blocks[b][c].cost);
        }
    }
    // A shrunk space has the same sums for what is left.
    std::vector<std::vector<int>> left(21, std::vector<int>{5, 0});
    left[1] = {-1};
    const ChainAngle shrunk(
        chain::angle_table(space, parts, ChainAngleRules::rlnas(), chain::MacConvention::thop, left));
    std::vector<int> arch(21, 5);
    arch[1] = -1;
    CHECK(shrunk.angle(arch) == rlnas.angle(arch));
    arch[2] = 3;
    CHECK_THROWS_AS(shrunk.angle(arch), Error);
}

TEST_CASE("angles are of supernets of MobileNets alone") {
    auto none = [](const std::string&) { return AngleSums{}; };
    CHECK_THROWS_AS(chain::angle_parts(chain::supernet(chain::space("shufflenet")), none), Error);
    CHECK_THROWS_AS(chain::angle_parts(chain::supernet(chain::space("mobilenet-mmrazor")), none), Error);
    const chain::Space space = chain::space("mobilenet");
    const chain::Net subnet = chain::subnet(space, chain::published_architecture(space, "RLNAS"));
    CHECK_THROWS_AS(chain::angle_parts(subnet, none), Error);
    CHECK_NOTHROW(chain::angle_parts(chain::supernet(chain::space("mobilenet-fairnas")), none));
}
