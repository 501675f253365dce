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
#include "nas/space/chain_published.h"

using namespace nascent;
using namespace nascent::chain;

namespace {

Cost cost(const Space& s, std::string_view arch) { return cost_of(subnet(s, architecture_from(s, arch)).layers); }

std::int64_t norm_channels(const std::vector<Layer>& layers) {
    std::int64_t n = 0;
    for (const Layer& l : layers) n += l.kind == LayerKind::batch_norm ? l.out : 0;
    return n;
}

}  // namespace

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
        for (int b = row.blocks[0]; b <= row.blocks[1]; ++b) {
            for (int op = 0; op < 4; ++op) {
                CAPTURE(b);
                CAPTURE(op);
                const auto i = static_cast<std::size_t>(op);
                const auto layers = block_layers(s, s.blocks[static_cast<std::size_t>(b)], op, kUnscaled, style);
                const Cost c = cost_of(layers);
                CHECK(c.macs() == row.macs[i]);
                CHECK(c.params - c.norm_params == row.weights[i]);
                CHECK(norm_channels(layers) == row.norms[i]);
                CHECK(c.norm_params == 2 * row.norms[i]);
            }
        }
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

TEST_CASE("MACs, weights and BN channels of every MobileNet block") {
    struct Row {
        std::array<int, 2> blocks;
        std::array<std::int64_t, 6> macs;  // k3e3, k3e6, k5e3, k5e6, k7e3, k7e6
        std::array<std::int64_t, 6> weights;
        std::array<std::int64_t, 2> norms;  // e3, e6
    };
    const Space s = space("mobilenet");
    const Style style = subnet_style(s);
    for (const Row& row : {
             Row{{0, 0},
                 {30933504, 61867008, 34546176, 69092352, 39965184, 79930368},
                 {4680, 9360, 5832, 11664, 7560, 15120},
                 {176, 320}},
             Row{{1, 3},
                 {21977088, 43954176, 26793984, 53587968, 34019328, 68038656},
                 {7008, 14016, 8544, 17088, 10848, 21696},
                 {224, 416}},
             Row{{4, 4},
                 {14525952, 29051904, 15730176, 31460352, 17536512, 35073024},
                 {9312, 18624, 10848, 21696, 13152, 26304},
                 {248, 440}},
             Row{{5, 7},
                 {15937152, 31874304, 18044544, 36089088, 21205632, 42411264},
                 {20328, 40656, 23016, 46032, 27048, 54096},
                 {392, 728}},
             Row{{8, 8},
                 {11360160, 22720320, 11887008, 23774016, 12677280, 25354560},
                 {29736, 59472, 32424, 64848, 36456, 72912},
                 {448, 784}},
             Row{{9, 11},
                 {15344448, 30688896, 16398144, 32796288, 17978688, 35957376},
                 {78288, 156576, 83664, 167328, 91728, 183456},
                 {784, 1456}},
             Row{{12, 12},
                 {16398144, 32796288, 17451840, 34903680, 19032384, 38064768},
                 {83664, 167328, 89040, 178080, 97104, 194208},
                 {800, 1472}},
             Row{{13, 15},
                 {19944960, 39889920, 21149184, 42298368, 22955520, 45911040},
                 {101760, 203520, 107904, 215808, 117120, 234240},
                 {896, 1664}},
             Row{{16, 16},
                 {14620032, 29240064, 14921088, 29842176, 15372672, 30745344},
                 {150912, 301824, 157056, 314112, 166272, 332544},
                 {1024, 1792}},
             Row{{17, 19},
                 {19606272, 39212544, 20208384, 40416768, 21111552, 42223104},
                 {400128, 800256, 412416, 824832, 430848, 861696},
                 {1792, 3328}},
             Row{{20, 20},
                 {26229504, 52459008, 26831616, 53663232, 27734784, 55469568},
                 {535296, 1070592, 547584, 1095168, 566016, 1132032},
                 {1968, 3504}},
         }) {
        for (int b = row.blocks[0]; b <= row.blocks[1]; ++b) {
            for (int op = 0; op < 6; ++op) {
                CAPTURE(b);
                CAPTURE(op);
                const auto i = static_cast<std::size_t>(op);
                const auto layers = block_layers(s, s.blocks[static_cast<std::size_t>(b)], op, kUnscaled, style);
                const Cost c = cost_of(layers);
                CHECK(c.macs() == row.macs[i]);
                CHECK(c.params - c.norm_params == row.weights[i]);
                CHECK(norm_channels(layers) == row.norms[i % 2]);
            }
        }
    }
    std::vector<std::int64_t> macs;
    std::int64_t weights = 0, norms = 0;
    for (const Layer& l : fixed_layers(s, style)) {
        if (l.kind == LayerKind::conv || l.kind == LayerKind::linear) macs.push_back(cost_of(l).macs());
        if (l.part == Part::stem && l.name.starts_with("MBConv")) {
            weights += l.weights();
            if (l.kind == LayerKind::batch_norm) norms += l.out;
        }
    }
    REQUIRE(macs.size() == 5);
    CHECK(macs[0] == 13547520);
    CHECK(macs[1] + macs[2] == 16558080);
    CHECK((weights == 1320 && norms == 64));
    CHECK(macs[3] == 36578304);
    CHECK(macs[4] == 1728000);
    CHECK(cost_of(fixed_layers(s, style)).macs(MacConvention::thop) == 30105600 + 40033304);
    CHECK(30105600 == 13547520 + 16558080);
    CHECK(40033304 == 36578304 + 3455000);
}

TEST_CASE("costs of known MobileNets under every convention") {
    struct Row {
        const char* arch;
        std::int64_t conv, mac, thop, mmrazor, params;
    };
    const Space original = space("mobilenet"), mm = space("mobilenet-mmrazor");
    for (const Row& r : {
             Row{"SPOS_ABS", 469064064, 470792064, 472519064, 490136480, 5936776},
             Row{"ProxylessNAS_ABS", 467238912, 468966912, 470693912, 487182368, 5955808},
             Row{"RLNAS", 469793184, 471521184, 473248184, 492058848, 5255648},
             Row{"all_mb_k3e3", 459180960, 460908960, 462635960, 483453664, 5151552},
             Row{"all_mb_k3e6", 851678016, 853406016, 855133016, 892871008, 7816008},
             Row{"all_mb_k5e3", 495834528, 497562528, 499289528, 520107232, 5264832},
             Row{"all_mb_k5e6", 924985152, 926713152, 928440152, 966178144, 8042568},
             Row{"all_mb_k7e3", 550814880, 552542880, 554269880, 575087584, 5434752},
             Row{"all_mb_k7e6", 1034945856, 1036673856, 1038400856, 1076138848, 8382408},
             Row{"0 -1 -1 -1 0 -1 -1 -1 0 -1 -1 -1 0 -1 -1 -1 0 -1 -1 -1 0", 180751200, 182479200, 184206200, 192793504,
                 3304488},
             Row{"2 1 3 5 0 0 -1 4 0 2 4 0 4 1 0 0 3 3 0 1 0", 633680544, 635408544, 637135544, 663679584, 6302504},
             Row{"4 3 0 -1 4 0 1 5 5 4 0 4 4 3 0 1 0 4 -1 1 2", 589571136, 591299136, 593026136, 616595680, 5562264},
             Row{"3 1 4 0 4 2 4 -1 5 1 0 4 4 5 1 2 0 4 5 0 4", 633158400, 634886400, 636613400, 663764256, 6082088},
             Row{"0 4 1 3 5 4 3 -1 2 3 4 3 2 2 1 -1 1 5 -1 1 0", 632401056, 634129056, 635856056, 662550624, 6027344},
             Row{"4 2 4 3 2 5 3 2 4 0 0 4 3 1 -1 2 1 3 3 0 5", 675762528, 677490528, 679217528, 704726688, 6964928},
         }) {
        CAPTURE(std::string(r.arch));
        for (const Space* s : {&original, &mm}) {
            const Cost c = cost(*s, r.arch);
            CHECK(c.conv_macs == r.conv);
            CHECK(c.macs(MacConvention::mac) == r.mac);
            CHECK(c.macs(MacConvention::thop) == r.thop);
            CHECK(c.macs(MacConvention::mmrazor) == r.mmrazor);
            CHECK(c.params == r.params);
        }
    }
    const Cost least = cost(mm, "all_identity");
    CHECK(least.conv_macs == 81561088);
    CHECK(least.macs() == 83289088);
    CHECK(least.macs(MacConvention::mmrazor) == 87690464);
    CHECK(least.params == 2650120);
    // The first draw of RLNAS's evolution with seed 1.
    CHECK(cost(original, "5 3 4 0 1 3 5 0 0 1 4 5 4 -1 1 2 4 -1 5 2 4").macs(MacConvention::thop) == 664738616);
    // FairNAS: the true figures; the paper's 325M has a 1x1 convolution too many.
    const Cost fair = cost(space("mobilenet-fairnas"), "FairNAS_ABS");
    CHECK((fair.macs(MacConvention::thop) + 500) / 1000 == 312223);
    CHECK((fair.params + 500) / 1000 == 3775);
    CHECK((fair.macs(MacConvention::thop) + 32 * 32 * 112 * 112 + 500000) / 1000000 == 325);
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
