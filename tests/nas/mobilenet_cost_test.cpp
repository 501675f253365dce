// Parameters and multiply-accumulates of MobileNets. The figures are those of the original models and counters.
#include "tests/nas/block_costs.h"

using namespace nascent;
using namespace nascent::chain;
using namespace nascent::test;

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
        check_blocks(s, row.blocks, row.macs, row.weights, row.norms);
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
