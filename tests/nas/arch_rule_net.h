// A small network whose alphas follow a rule, and what rules make of alphas.
#pragma once
#include <cmath>
#include <memory>
#include <vector>

#include "engine/autograd/execution.h"
#include "nas/algo/arch_draws.h"
#include "nas/algo/arch_rules.h"
#include "nas/algo/loss.h"
#include "nas/golden/numbers.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/nasbench201_mixed.h"
#include "ops/constants.h"
#include "ops/reference.h"

namespace nascent::rule_test {

using Numbers = std::vector<double>;
inline constexpr int pictures = 3, side = 8, classes = 3;
inline constexpr std::size_t edges = nb201::kEdges, ops = nb201::kOps;

/// A small network in float64 with alphas of a search under way.
struct Small {
    std::unique_ptr<Device> device = make_device("cpu", 1);
    Nb201MixedNet net{*device, DType::f64, nb201::NetConfig{classes, side, 4, 1}, Nb201MixedNet::Cells{}};
    Numbers alphas = golden::input(edges * ops, 77);
    Small() {
        initialise(net.store(), 5);
        const Tensor a = net.store().raw(net.alphas()[0]);
        device->copy_in(a.data, alphas.data(), a.bytes());
    }
    struct Run {
        double loss;
        Numbers dalphas;  // empty: none is wanted
    };
    /// Of the rule, at step `number` of the alphas.
    Run run(ArchRule* rule, std::int64_t epoch = 0, std::int64_t number = 0, bool penalised = false) {
        net.set_rule(rule);
        net.begin(Pass::architecture, epoch, number);
        Arena arena(*device);
        ExecutionScope execution(arena);
        Tape tape(arena, &net.store());
        TapeScope recording(&tape);
        const Tensor x = constants({pictures, side, side, 3}, DType::f64, golden::input(pictures * side * side * 3, 3)),
                     labels = empty({pictures}, DType::i32);
        const std::int32_t host[pictures] = {0, 2, 1};
        device->copy_in(labels.data, host, labels.bytes());
        Tensor loss = cross_entropy(net.logits(x, true), labels);
        if (penalised) loss = net.penalised(loss);
        backward_from(tape, loss);
        const Tensor g = tape.gradient(net.store().read(net.alphas()[0]));
        Run result{read_scalar(loss), g.defined() ? numbers_of(g) : Numbers{}};
        net.set_rule(nullptr);
        return result;
    }
};

/// Weights that are the alphas themselves, or given numbers.
struct Plain final : ArchRule {
    Numbers given;  // empty: the alphas
    std::vector<int> chosen;
    bool sums = false;
    void begin(Pass, std::int64_t, std::int64_t) override {}
    ArchWeights weights(const Tensor& alphas, int) override {
        if (given.empty()) return {alphas, chosen, sums};
        return {constants({static_cast<std::int64_t>(given.size())}, DType::f64, given), chosen, sums};
    }
};

/// The values of a rule's weights.
inline Numbers weights_of(ArchRule& rule, Device& device, const Numbers& alphas, int matrix, Pass pass,
                          std::int64_t epoch, std::int64_t number, std::vector<int>* chosen = nullptr) {
    Arena arena(device);
    ExecutionScope execution(arena);
    rule.begin(pass, epoch, number);
    const auto rows = static_cast<std::int64_t>(alphas.size()) / nb201::kOps;
    const ArchWeights w = rule.weights(constants({rows, nb201::kOps}, DType::f64, alphas), matrix);
    if (chosen) *chosen = w.chosen;
    return numbers_of(w.weights);
}

inline ArchRuleOptions options(Algo algo) {
    ArchRuleOptions o;
    o.algo = algo;
    o.seed = 3;
    o.temperature = {10, 0.1, Temperature::Way::to_end, 250};
    return o;
}

/// softmax((log softmax(alpha) + g) / tau) of one row, by its definition.
inline Numbers relaxed(const Numbers& alphas, const Numbers& noise, double tau) {
    Numbers p(alphas.size());
    double sum = 0, total = 0;
    for (double a : alphas) sum += std::exp(a);
    for (std::size_t i = 0; i < p.size(); i++) total += p[i] = std::exp((alphas[i] - std::log(sum) + noise[i]) / tau);
    for (double& v : p) v /= total;
    return p;
}
inline Numbers row(const Numbers& all, std::size_t e) {
    return {all.begin() + static_cast<std::ptrdiff_t>(e * ops),
            all.begin() + static_cast<std::ptrdiff_t>((e + 1) * ops)};
}

inline Numbers noise_of(Device& device, std::int64_t number) {
    Arena arena(device);
    ExecutionScope execution(arena);
    ArchDraw draw{3};
    draw.begin(Pass::architecture, 0, number);
    return numbers_of(gumbel_noise(draw, constants({edges, ops}, DType::f64, 0.0), 0));
}

}  // namespace nascent::rule_test
