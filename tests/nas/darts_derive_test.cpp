// From alphas to genotypes.
#include "nas/space/darts_derive.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/darts_genotypes.h"
#include "tests/nas/digest.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::darts;
using namespace nascent::test;

namespace {

constexpr std::size_t kWeights = 14 * 8;

std::string message(const std::vector<double>& alphas) {
    return error_of(ErrorKind::runtime, [&] { derive_genotype(alphas, alphas); });
}

}  // namespace

TEST_CASE("edges of a search cell are numbered node by node") {
    CHECK(edge_count(4) == 14);
    int edge = 0;
    for (int node = 0; node < 4; ++node) {
        for (int from = 0; from < 2 + node; ++from) CHECK(edge_index(node, from) == edge++);
    }
}

TEST_CASE("genotypes of 300 tables of weights, with many ties, are Python's") {
    // The rule as DARTS writes it (sorted with a key, strict comparison in a loop), run in Python over tables with 2, 4
    // and 1000 levels from this generator; MD5 of the printed lists, each with a line feed.
    std::uint32_t x = 2026;
    std::string text;
    for (int table = 0; table < 300; ++table) {
        const std::uint32_t levels = table % 3 == 0 ? 2 : table % 3 == 1 ? 4 : 1000;
        std::vector<double> weights(kWeights);
        for (double& w : weights) {
            x = 1664525u * x + 1013904223u;
            w = static_cast<double>((x >> 8) % levels) / levels;
        }
        std::string list;
        for (const Gene& g : derive_genes(weights)) {
            list += fmt::format("{}('{}', {})", list.empty() ? "" : ", ", op_name(g.op), g.from);
        }
        text += "[" + list + "]\n";
    }
    CHECK(nascent_tests::md5(text) == "3b6a83c870e9677148ce539998a34ae6");
}

TEST_CASE("the genotype of a search network's alphas") {
    // Alphas and the genotype that the original program printed for them.
    std::vector<double> normal(kWeights), reduce(kWeights);
    for (std::size_t i = 0; i < kWeights; ++i) {
        normal[i] = 0.3 * std::sin(1.7 * static_cast<double>(i));
        reduce[i] = 0.3 * std::sin(2.3 * static_cast<double>(i) + 1);
    }
    CHECK(to_string(derive_genotype(normal, reduce)) ==
          "Genotype(normal=[('max_pool_3x3', 0), ('sep_conv_3x3', 1), ('dil_conv_3x3', 2), ('skip_connect', 1), "
          "('max_pool_3x3', 1), ('sep_conv_5x5', 0), ('max_pool_3x3', 3), ('dil_conv_3x3', 1)], "
          "normal_concat=range(2, 6), reduce=[('skip_connect', 0), ('dil_conv_3x3', 1), ('max_pool_3x3', 2), "
          "('dil_conv_3x3', 0), ('dil_conv_5x5', 2), ('sep_conv_3x3', 0), ('avg_pool_3x3', 0), ('sep_conv_5x5', 1)], "
          "reduce_concat=range(2, 6))");
    CHECK(derive_genotype(normal, reduce, 3).reduce_concat == std::vector<int>{3, 4, 5});
    CHECK_THROWS_AS(derive_genotype(normal, reduce, 5), Error);
    CHECK_THROWS_AS(derive_genotype(normal, std::vector<double>(kWeights - 8), 4), Error);
    CHECK_THROWS_AS(derive_genes({}), Error);
}

TEST_CASE("none takes probability but is never chosen") {
    // Edge 0 favours sep_conv_5x5 most before the softmax, but `none` takes nearly all of its probability.
    std::vector<double> alphas(kWeights, 0.0);
    alphas[0] = 20, alphas[5] = 3;
    alphas[8 + 4] = 1;  // edge 1
    const std::vector<Gene> genes = derive_genotype(alphas, alphas).normal;
    CHECK(genes[0] == Gene{Op::sep_conv_3x3, 1});
    CHECK(genes[1] == Gene{Op::sep_conv_5x5, 0});
    // All equal: the two inputs, the first primitive after none.
    CHECK(genes[2] == Gene{Op::max_pool_3x3, 0});
    CHECK(genes[3] == Gene{Op::max_pool_3x3, 1});
}

TEST_CASE("softmax in rows") {
    const std::vector<double> w = softmax_rows(std::vector<double>{0, 0, std::log(2.0), 1000, 1000, -1000}, 3);
    CHECK(w[0] == doctest::Approx(0.25).epsilon(1e-15));
    CHECK(w[2] == doctest::Approx(0.5).epsilon(1e-15));
    CHECK(w[3] == 0.5);
    CHECK(w[5] == 0);
    CHECK_THROWS_AS(softmax_rows(std::vector<double>(7), 3), Error);
    std::vector<double> alphas(kWeights);
    alphas[8 * 3 + 2] = std::numeric_limits<double>::quiet_NaN();
    CHECK(contains(message(alphas), "normal cell"));
    CHECK(contains(message(alphas), "edge 3, operator 2 is nan"));
    alphas[8 * 3 + 2] = std::numeric_limits<double>::infinity();
    CHECK(contains(message(alphas), "edge 3, operator 2 is inf"));
    alphas[8 * 3 + 2] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(derive_genes(alphas), Error);
}

TEST_CASE("PC-DARTS's betas share out each node's edges") {
    // Of two nodes; softmaxes of {0, ln 3} and {0, 0, ln 2}, the second with a shift that changes nothing.
    const std::vector<double> betas = {0, std::log(3.0), 900, 900, 900 + std::log(2.0)}, expected = {1, 3, 1, 1, 2};
    const std::vector<double> shares = softmax_edges(betas);
    REQUIRE(shares.size() == 5);
    std::vector<double> weights(5 * kPrimitives);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i + 1);
    const std::vector<double> weighed = weigh_edges(weights, betas);
    REQUIRE(weighed.size() == weights.size());
    for (std::size_t e = 0; e < 5; ++e) {
        CHECK(shares[e] == doctest::Approx(expected[e] / 4).epsilon(1e-12));  // ln 2 next to 900 has 2e-13 of error
        for (std::size_t i = e * kPrimitives; i < (e + 1) * kPrimitives; ++i)
            CHECK(weighed[i] == weights[i] * shares[e]);
    }
    auto refused = [](ErrorKind kind, const std::vector<double>& b) {
        return error_of(kind, [&] { softmax_edges(b); });
    };
    CHECK(contains(refused(ErrorKind::usage, {0, 0, 0, 0}), "4 betas are not those of a cell's edges"));
    for (const double bad : {NAN, INFINITY, -INFINITY}) {
        CHECK(contains(refused(ErrorKind::runtime, {0, bad, 0, 0, 0}), "beta of edge 1 is"));
        CHECK(contains(refused(ErrorKind::runtime, {0, 0, 0, 0, bad}), "beta of edge 4 is"));
    }
    CHECK_THROWS_AS(weigh_edges(weights, std::vector<double>{0, 0}), Error);
}

TEST_CASE("cells of more nodes than text may have are not derived") {
    auto genes = [](int nodes) {
        return derive_genes(std::vector<double>(static_cast<std::size_t>(edge_count(nodes) * kPrimitives))).size();
    };
    for (const int nodes : {1, 2, 5, kMaxNodes}) CHECK(genes(nodes) == 2 * static_cast<std::size_t>(nodes));
    CHECK_THROWS_AS(genes(kMaxNodes + 1), Error);
}

TEST_CASE("skip-connects of published cells and collapse") {
    struct Row {
        const char* name;
        int normal, reduce;
    };
    for (auto [name, normal, reduce] :
         {Row{"DARTS_V1", 3, 3}, Row{"DARTS_V2", 2, 3}, Row{"PC_DARTS_cifar", 1, 0}, Row{"EvNASB", 1, 2}}) {
        const Genotype g = published_genotype(name);
        CHECK(skip_connects(g.normal) == normal);
        CHECK(skip_connects(g.reduce) == reduce);
        CHECK(collapsed(g) == (normal >= 2));
        CHECK(collapsed(g, normal));
        CHECK_FALSE(collapsed(g, normal + 1));
    }
}
