// True accuracies of architectures drawn from Dirichlet distributions, against what is known of the draws.
#include "nas/algo/sampled_range.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "nas/algo/arch_rules.h"
#include "tests/nas/arch_rule_net.h"

using namespace nascent;
using namespace nascent::rule_test;

namespace {

/// Every architecture has an accuracy of its own.
double accuracy_of(const nb201::Architecture& arch) { return arch.id() / 200.0; }

const BenchmarkTable& table() {
    static const BenchmarkTable all = [] {
        std::string text = "arch,accuracy\n";
        for (int id = 0; id < nb201::kArchitectures; id++) {
            const nb201::Architecture arch = nb201::from_official_index(id);
            text += fmt::format("{},{}\n", nb201::to_string(arch), accuracy_of(arch));
        }
        return BenchmarkTable::parse(text, "table.csv");
    }();
    return all;
}

/// Concentrations that leave no doubt about these operators.
Numbers certain(const std::vector<int>& chosen) {
    Numbers alphas(edges * ops, -20);
    for (std::size_t e = 0; e < edges; e++) alphas[e * ops + static_cast<std::size_t>(chosen[e])] = 1e4;
    return alphas;
}

nb201::Architecture architecture(const std::vector<int>& chosen) {
    nb201::Architecture arch;
    for (std::size_t e = 0; e < edges; e++) arch.ops[e] = static_cast<nb201::Op>(chosen[e]);
    return arch;
}

}  // namespace

TEST_CASE("drawn architectures are those of the largest weights") {
    auto device = make_device("cpu", 1);
    const std::vector<int> chosen{4, 0, 3, 1, 2, 4};
    const double want = accuracy_of(architecture(chosen));
    const SampledRange one = sampled_range(*device, certain(chosen), 3, 5, table(), "accuracy");
    CHECK(one.least == want);
    CHECK(one.most == want);
    CHECK(one.mean == doctest::Approx(want).epsilon(1e-13));
    // All alike: every operator of an edge as often as any other. Of 800 the mean is known to the deviation of all
    // architectures over the root of 800.
    double mean = 0, squares = 0;
    for (int id = 0; id < nb201::kArchitectures; id++) {
        mean += id / 200.0 / nb201::kArchitectures;
        squares += std::pow(id / 200.0, 2) / nb201::kArchitectures;
    }
    const double deviation = std::sqrt((squares - mean * mean) / 800);
    const SampledRange all = sampled_range(*device, Numbers(edges * ops, 0.0), 3, 5, table(), "accuracy", 800);
    CHECK(std::abs(all.mean - mean) < 5 * deviation);
    CHECK(all.least < 1);  // the chance that none of 800 is among the 200 lowest, or highest, is below 1e-4
    CHECK(all.most > 77);
    CHECK(all.most < 78.125);
}

TEST_CASE("pruned operators are never drawn, whatever was drawn for them") {
    auto device = make_device("cpu", 1);
    // Of each edge all but two are pruned; the last edge keeps one alone.
    Numbers alphas(edges * ops, -INFINITY);
    for (std::size_t e = 0; e < edges; e++) alphas[e * ops + e % ops] = alphas[e * ops + (e + 2) % ops] = 0;
    alphas[5 * ops + 2] = -INFINITY;
    std::set<double> possible;
    for (int which = 0; which < 32; which++) {
        std::vector<int> chosen;
        for (int e = 0; e < 6; e++) chosen.push_back((e + (e < 5 && which >> e & 1 ? 2 : 0)) % 5);
        possible.insert(accuracy_of(architecture(chosen)));
    }
    REQUIRE(possible.size() == 32);
    std::set<double> drawn;
    for (std::int64_t epoch = 0; epoch < 400; epoch++)
        drawn.insert(sampled_range(*device, alphas, 3, epoch, table(), "accuracy", 1).least);
    CHECK(drawn == possible);
}

TEST_CASE("what is drawn to be looked at is a function of seed and epoch, and none of the search's own draws") {
    auto device = make_device("cpu", 1);
    const Numbers alphas(edges * ops, 0.0);
    constexpr std::int64_t kEpochs = 20;
    auto sequence = [&](std::uint64_t seed) {
        Numbers all;
        for (std::int64_t epoch = 1; epoch <= kEpochs; epoch++)
            all.push_back(sampled_range(*device, alphas, seed, epoch, table(), "accuracy", 1).mean);
        return all;
    };
    const Numbers shown = sequence(3);
    CHECK(sequence(3) == shown);
    CHECK(sequence(4) != shown);
    CHECK(std::set<double>(shown.begin(), shown.end()).size() > 10);
    auto rule = make_arch_rule(options(Algo::drnas));  // seed 3
    for (Pass pass : {Pass::architecture, Pass::weights, Pass::evaluation}) {
        for (std::int64_t back : {-1, 0, 1}) {
            Numbers searched;
            for (std::int64_t number = 1; number <= kEpochs; number++) {
                const Numbers w = weights_of(*rule, *device, alphas, 0, pass, 0, number - back);
                std::vector<int> chosen;
                for (std::size_t e = 0; e < edges; e++) {
                    const Numbers r = row(w, e);
                    chosen.push_back(static_cast<int>(std::max_element(r.begin(), r.end()) - r.begin()));
                }
                searched.push_back(accuracy_of(architecture(chosen)));
            }
            CHECK(searched != shown);
        }
    }
}
