// Codes of the DARTS space, published ones, and what the networks they stand for cost.
#include "nas/space/darts_code.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/algo/darts_paths.h"
#include "nas/metric/darts_code_cost.h"
#include "nas/metric/darts_cost.h"
#include "nas/space/darts_genotypes.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::darts;
using namespace nascent::test;

namespace {

std::string message(const std::string& text) {
    return error_of(ErrorKind::usage, [&] { parse_code(text); });
}

NetConfig imagenet(int channels) {
    return {.stem = Stem::imagenet,
            .classes = 1000,
            .input_size = 224,
            .channels = channels,
            .layers = 14,
            .stem_multiplier = 1};
}

}  // namespace

TEST_CASE("published DARTS codes are published genotypes") {
    CHECK(published_codes().size() == 3);
    for (const PublishedCode& p : published_codes()) {
        CAPTURE(std::string(p.name));
        CHECK(valid(p.code));
        CHECK(to_code(published_genotype(p.name)) == p.code);
        CHECK(to_code(to_genotype(p.code)) == p.code);
        CHECK(parse_code(p.name) == p.code);
        CHECK(parse_code(to_string(p.code)) == p.code);
        CHECK(code_from(to_numbers(p.code)) == p.code);
    }
    CHECK(to_string(to_genotype(published_codes()[1].code)) == to_string(published_genotype("RLNAS_imagenet")));
    CHECK(to_string(published_codes()[0].code) == "5 4 6 0 5 4 0 0 7 0 7 6 0 0 | 5 6 4 0 5 0 6 0 4 0 1 5 0 0");
    CHECK(parse_code("[5,4,6,0,5,4,0,0,7,0,7,6,0,0],\n [5,6,4,0,5,0,6,0,4,0,1,5,0,0]") == published_codes()[0].code);
}

TEST_CASE("codes and genotypes go over into each other") {
    for (std::int64_t step = 0; step < 500; ++step) {
        const Code code = training_path(3, step);
        CHECK(to_code(to_genotype(code)) == code);
        CHECK(parse_code(to_string(code)) == code);
        CHECK(parse_code(darts::to_string(to_genotype(code))) == code);
    }
}

TEST_CASE("what is no code says why") {
    for (int node = 0, edge = 0; node < kNodes; ++node) {
        for (int from = 0; from < kInputs + node; ++from, ++edge) {
            const EdgePlace place = kEdgePlaces.at(static_cast<std::size_t>(edge));
            CHECK((place.node == node && place.from == from));
        }
    }
    Code code = published_codes()[0].code;
    for (const int op : {kPrimitives - 1, kPrimitives}) {
        code.reduce[0] = static_cast<std::uint8_t>(op);
        CHECK(valid(code) == (op < kPrimitives));
    }
    CHECK(contains(message("5 4 6"), "3 numbers; expected 28"));
    CHECK(contains(message("5 4 68"), "column 5"));
    CHECK(contains(message(std::string(60, '1')), "column 1"));
    std::string many;
    for (int i = 0; i < 29; ++i) many += "0 ";
    CHECK(contains(message(many), "nothing after 28"));
    CHECK(contains(message("8" + many), "0..7"));
    CHECK(contains(message("RLNAS_cifer"), "nearest: RLNAS_cifar"));
    CHECK(contains(message("AmoebaNet"), "5 nodes"));
    CHECK_THROWS_AS(to_genotype(Code{}), Error);
    const std::vector<int> short_code(27), high(28, 8);
    CHECK_THROWS_AS(code_from(short_code), Error);
    CHECK_THROWS_AS(code_from(high), Error);
    // Two operators from one state, an operator beyond the primitives, an output of fewer nodes.
    Genotype g = to_genotype(published_codes()[0].code), twice = g, wide = g, part = g;
    twice.normal[1].from = twice.normal[0].from;
    wide.reduce[3].op = Op::sep_conv_7x7;
    part.normal_concat = {3, 4, 5};
    for (const Genotype& bad : {twice, wide, part}) CHECK_THROWS_AS(to_code(bad), Error);
}

TEST_CASE("published costs of RLNAS and AngleNAS to the printed digit") {
    struct Row {
        const char* name;
        int channels;
        double mflops, mparams;
    };
    for (const Row& r : {Row{"RLNAS_cifar", 48, 629.124, 5.675}, Row{"RLNAS_cifar", 46, 580.551, 5.258},
                         Row{"RLNAS_imagenet", 48, 596.751, 5.464}, Row{"RLNAS_imagenet_free", 48, 723.919, 6.619},
                         Row{"DARTS_V2", 48, 530.679, 4.719}, Row{"DARTS_ABS", 48, 619.688, 5.590},
                         Row{"DARTS_ABS", 45, 547.554, 4.978}, Row{"PDARTS_ABS", 48, 645.089, 5.812},
                         Row{"PDARTS_ABS", 45, 570.098, 5.175}}) {
        CAPTURE(std::string(r.name));
        const Cost cost = cost_of(evaluation_net(imagenet(r.channels), published_genotype(r.name)));
        CHECK(std::lround(static_cast<double>(cost.macs(mac_convention("thop"))) / 1e3) == std::lround(r.mflops * 1e3));
        CHECK(std::lround(static_cast<double>(cost.params) / 1e3) == std::lround(r.mparams * 1e3));
    }
}

TEST_CASE("costs of codes from a table are those of their networks") {
    const NetConfig config{.channels = 8, .layers = 5};
    for (const char* convention : {"mac", "thop", "conv"}) {
        const CodeCosts costs = code_costs(config, mac_convention(convention));
        for (std::int64_t step = 0; step < 40; ++step) {
            const Code code = training_path(9, step);
            CHECK(costs.of(code) ==
                  cost_of(evaluation_net(config, to_genotype(code))).macs(mac_convention(convention)));
        }
    }
    const CodeCosts params = code_params(config), supernet = code_params(config, true);
    for (std::int64_t step = 0; step < 40; ++step) {
        const Code code = training_path(9, step);
        CHECK(params.of(code) == cost_of(evaluation_net(config, to_genotype(code))).params);
        CHECK(supernet.of(code) >= params.of(code));
    }
}

TEST_CASE("parameters of RLNAS's DARTS supernets") {
    const SearchCell cell{.affine = true};
    CHECK(parameter_count(search_net({.channels = 16, .layers = 8}, cell)) == 2005114);
    CHECK(parameter_count(search_net(imagenet(48), cell)) == 25624288);
}
