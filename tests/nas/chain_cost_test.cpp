// Parameters and multiply-accumulates of chains. The figures are those of the original models and counters.
#include "nas/metric/chain_cost.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "tests/nas/block_costs.h"

using namespace nascent;
using namespace nascent::chain;
using namespace nascent::test;

TEST_CASE("MACs, weights and BN channels of every ShuffleNet block") {
    struct Row {
        std::array<int, 2> blocks;
        std::array<std::int64_t, 4> macs, weights, norms;
    };
    const Space s = space("shufflenet");
    const Style style = subnet_style(s);
    for (const Row& row : {
             Row{{0, 0}, {13396992, 15805440, 19418112, 13146112}, {2736, 3504, 4656, 4192}, {144, 144, 144, 224}},
             Row{{1, 3}, {7325696, 8931328, 11339776, 12343296}, {2336, 2848, 3616, 3936}, {96, 96, 96, 192}},
             Row{{4, 4}, {26304768, 28111104, 30820608, 20296192}, {18192, 20496, 23952, 25888}, {384, 384, 384, 608}},
             Row{{5, 7}, {10599680, 11603200, 13108480, 16746240}, {13520, 14800, 16720, 21360}, {240, 240, 240, 480}},
             Row{{8, 8},
                 {30670080, 31673600, 33178880, 21199360},
                 {79680, 84800, 92480, 108160},
                 {800, 800, 800, 1280}},
             Row{{9, 15}, {10317440, 10819200, 11571840, 15899520}, {52640, 55200, 59040, 81120}, {480, 480, 480, 960}},
             Row{{16, 16},
                 {30387840, 30889600, 31642240, 20634880},
                 {312960, 323200, 338560, 421120},
                 {1600, 1600, 1600, 2560}},
             Row{{17, 19},
                 {10176320, 10427200, 10803520, 15476160},
                 {207680, 212800, 220480, 315840},
                 {960, 960, 960, 1920}},
         }) {
        check_blocks(s, row.blocks, row.macs, row.weights, row.norms);
    }
    const std::vector<Layer> fixed = fixed_layers(s, style);
    CHECK(cost_of(fixed.front()).macs() == 5419008);
    CHECK(cost_of(fixed).macs() == 5419008 + 33136640);
    CHECK(cost_of(fixed).linear_macs == 1024000);
    CHECK(cost_of(fixed).conv_macs == 5419008 + 32112640);
}

TEST_CASE("costs of known ShuffleNets under every convention") {
    struct Row {
        const char* arch;
        std::int64_t macs, params, weights, mm_flops, mm_macs, mm_params;
    };
    const Space original = space("shufflenet"), mm = space("shufflenet-mmrazor");
    for (const Row& r : {
             Row{"arch_README", 322918720, 3558464, 3529312, 333668928, 321915200, 3558952},
             Row{"319M_block", 318729024, 3345088, 3320544, 329883776, 317725504, 3345576},
             Row{"SPOS_SUBNET", 317023040, 3353104, 3327344, 327544320, 316019520, 3353592},
             Row{"all_shuffle_3x3", 295842496, 3154880, 3132448, 306185024, 294838976, 3155368},
             Row{"all_shuffle_5x5", 313654976, 3211968, 3189536, 323997504, 312651456, 3212456},
             Row{"all_shuffle_7x7", 340373696, 3297600, 3275168, 350716224, 339370176, 3298088},
             Row{"all_xception", 358825920, 3870816, 3830400, 373913216, 357822400, 3871304},
             Row{"0 2 3 2 3 3 0 0 0 0 0 3 1 2 3 3 3 0 0 1", 318026560, 3388176, 3359824, 329987264, 317023040, 3388664},
             Row{"1 2 0 3 0 1 3 0 2 0 0 0 1 1 3 3 0 3 3 0", 339708864, 3465280, 3436416, 351851456, 338705344, 3465768},
             Row{"2 3 3 0 3 0 2 2 3 3 3 2 2 1 3 1 3 1 2 1", 313071680, 3443728, 3414704, 325233088, 312068160, 3444216},
             Row{"0 1 0 1 1 0 0 2 2 3 1 2 2 0 0 2 3 2 0 0", 306598976, 3348288, 3322976, 317129664, 305595456, 3348776},
             Row{"1 2 3 0 2 3 2 3 2 3 2 2 3 3 0 2 1 2 3 1", 356298304, 3442880, 3414496, 368989696, 355294784, 3443368},
             Row{"1 3 3 1 2 0 0 3 2 2 3 3 2 0 2 0 0 0 2 3", 343917376, 3387584, 3360448, 356652672, 342913856, 3388072},
         }) {
        CAPTURE(std::string(r.arch));
        const Cost a = cost(original, r.arch), b = cost(mm, r.arch);
        CHECK(a.macs(MacConvention::mac) == r.macs);
        CHECK(a.params == r.params);
        CHECK(a.params - a.norm_params == r.weights);
        CHECK(b.macs(MacConvention::mmrazor) == r.mm_flops);
        CHECK(b.macs(MacConvention::mac) == r.mm_macs);
        CHECK(b.params == r.mm_params);
        CHECK(a.macs(MacConvention::thop) == r.macs + 1023 * 1000);
    }
    const Cost found = cost(space("shufflenet-channels"), "328M_block_channel");
    CHECK(found.macs() == 327857920);
    CHECK(found.params == 3432579);
    CHECK(cost(space("shufflenet-channels"), "319M_block").macs() == 318729024);
    // 70 convolutions with Shuffle blocks alone, 130 with Xception blocks, a BN each.
    CHECK(cost(original, "all_shuffle_5x5").convs == 70);
    CHECK(cost(original, "all_xception").convs == 130);
    CHECK(cost(original, "arch_README").batch_norms == 82);
    CHECK(cost(original, "arch_README").activations == 50);
    const PathCosts macs = path_costs(original, all_choices(original), MacConvention::mac);
    CHECK(macs.low() == 270359360);
    CHECK(macs.high() == 398609216);
    // Mean and deviation of uniform paths, in units of 10^4.
    double mean = static_cast<double>(macs.fixed()), variance = 0;
    for (int b = 0; b < macs.blocks(); ++b) {
        double m = 0, q = 0;
        for (std::int64_t c : macs.choices(b))
            m += static_cast<double>(c) / 4, q += static_cast<double>(c) * static_cast<double>(c) / 4;
        mean += m, variance += q - m * m;
    }
    CHECK(std::llround(mean / 1e4) == 32717);
    CHECK(std::llround(std::sqrt(variance) / 1e4) == 1183);
}

TEST_CASE("costs of a path are the sum of its blocks'") {
    for (std::string_view name : kSpaces) {
        CAPTURE(std::string(name));
        const Space s = space(name, {.classes = 100, .input_size = 96});
        const Choices choices = all_choices(s);
        const PathCosts params = path_costs(s, choices, std::nullopt);
        std::vector<PathCosts> macs;
        for (std::size_t c = 0; c < kMacConventions.size(); ++c)
            macs.push_back(path_costs(s, choices, static_cast<MacConvention>(c)));
        for (int shift = 0; shift < 40; ++shift) {
            std::vector<int> path;
            for (std::size_t b = 0; b < choices.size(); ++b)
                path.push_back(static_cast<int>((b * b + static_cast<std::size_t>(shift)) % choices[b].size()));
            const Architecture arch = architecture_of(s, choices, path);
            CHECK(path_of(s, choices, arch) == path);
            const Cost c = cost_of(subnet(s, arch).layers);
            CHECK(params.of(path) == c.params);
            for (std::size_t m = 0; m < macs.size(); ++m)
                CHECK(macs[m].of(path) == c.macs(static_cast<MacConvention>(m)));
        }
    }
    const Space s = space("mobilenet");
    const Choices choices = all_choices(s);
    const PathCosts macs = path_costs(s, choices, mac_convention("mac"));
    std::vector<int> path(21, 0);
    path[3] = 7;
    CHECK_THROWS_AS(macs.of(path), Error);
    path[3] = -1;
    CHECK_THROWS_AS(macs.of(path), Error);
    path.pop_back();
    CHECK_THROWS_AS(macs.of(path), Error);
    CHECK_THROWS_AS(mac_convention("flops"), Error);
    CHECK_THROWS_AS(PathCosts(0, {}), Error);
    CHECK_THROWS_AS(PathCosts(0, {{1}, {}}), Error);
    CHECK_THROWS_AS(PathCosts(1, {{std::numeric_limits<std::int64_t>::max()}}), Error);
}

TEST_CASE("costs of a path by hand, and the largest that may be") {
    const PathCosts c(10, {{3, -5, 7}, {-2}, {4, 4}});
    CHECK(c.fixed() == 10);
    CHECK(c.blocks() == 3);
    for (int b = 0; b < 3; ++b) CHECK(c.choices(b).size() == std::size_t(b == 0 ? 3 : b));
    CHECK(c.choices(0)[1] == -5);
    CHECK(c.choices(1)[0] == -2);
    CHECK(c.choices(2)[1] == 4);
    CHECK(c.low() == 10 - 5 - 2 + 4);
    CHECK(c.high() == 10 + 7 - 2 + 4);
    CHECK(c.of(std::vector<int>{0, 0, 0}) == 10 + 3 - 2 + 4);
    CHECK(c.of(std::vector<int>{1, 0, 1}) == c.low());
    CHECK(c.of(std::vector<int>{2, 0, 1}) == c.high());
    for (const std::vector<int>& none : {std::vector<int>{3, 0, 0}, {0, 1, 0}, {0, 0, 2}, {0, 0, 0, 0}})
        CHECK_THROWS_AS(c.of(none), Error);
    constexpr std::int64_t most = (std::int64_t{1} << 62) - 1;
    CHECK(PathCosts(most - 1, {{-1, 1}}).high() == most);
    CHECK(PathCosts(1 - most, {{1, -1}}).low() == -most);
    CHECK_THROWS_AS(PathCosts(most, {{1}}), Error);
    CHECK_THROWS_AS(PathCosts(most, {{-1}}), Error);  // magnitudes count, so that no partial sum is too large
    CHECK_THROWS_AS(PathCosts(1, {{most, 0}}), Error);
    CHECK_THROWS_AS(PathCosts(1, {{0, -most}}), Error);
}

TEST_CASE("shrunk spaces of chains") {
    const Space s = space("mobilenet");
    std::vector<std::vector<int>> ops(21, {4, 0});
    ops[3] = {kIdentity, 5};
    const Choices choices = choices_of(s, ops);
    CHECK(choices[3] == std::vector<Choice>{{kIdentity}, {5}});
    Architecture arch{std::vector<int>(21, 0), {}};
    CHECK_THROWS_AS(path_of(s, choices, arch), Error);
    arch.ops[3] = 5;
    CHECK(path_of(s, choices, arch)[3] == 1);
    CHECK(path_of(s, choices, arch)[2] == 1);
    ops[4] = {kIdentity};
    CHECK_THROWS_AS(choices_of(s, ops), Error);
    ops[4] = {};
    CHECK_THROWS_AS(choices_of(s, ops), Error);
    ops[4] = {1, 1};
    CHECK_THROWS_AS(choices_of(s, ops), Error);
    ops.pop_back();
    CHECK_THROWS_AS(choices_of(s, ops), Error);
}

TEST_CASE("costs of chains as JSON") {
    const Space s = space("shufflenet-channels");
    const auto j = nlohmann::json::parse(cost_json(s, architecture_from(s, "328M_block_channel")).text());
    CHECK(j.at("space") == "shufflenet-channels");
    CHECK(j.at("name") == "328M_block_channel");
    CHECK(j.at("params") == 3432579);
    CHECK(j.at("macs").at("mac") == 327857920);
    CHECK(j.at("widths").size() == 20);
    CHECK(j.at("widths")[2] == 25);
    const Space m = space("mobilenet");
    const auto k = nlohmann::json::parse(cost_json(m, architecture_from(m, "RLNAS")).text());
    CHECK(k.at("macs").at("thop") == 473248184);
    CHECK(k.at("macs").at("mmrazor") == 492058848);
    CHECK(!k.contains("widths"));
}
