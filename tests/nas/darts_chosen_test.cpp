// Cells of the DARTS space of which each edge computes one operator.
#include <doctest/doctest.h>

#include "engine/autograd/execution.h"
#include "nas/algo/arch_rules.h"
#include "nas/algo/loss.h"
#include "nas/golden/numbers.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "ops/constants.h"
#include "ops/reference.h"

using namespace nascent;

namespace {

using Numbers = std::vector<double>;
constexpr int pictures = 4, side = 16, classes = 3;
constexpr std::size_t edges = 14, columns = darts::kPrimitives;

/// Given weights of the alphas' place (so that the alphas' gradient is theirs), and what runs; it hears what a rule
/// drew.
struct Given final : ArchRule {
    std::vector<int> chosen[2];
    ArchRule* drawn_by = nullptr;
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) override {
        if (drawn_by) drawn_by->begin(pass, epoch, number);
    }
    ArchWeights weights(const Tensor& alphas, int matrix) override {
        if (!drawn_by) return {alphas, chosen[matrix]};
        ArchWeights w = drawn_by->weights(alphas, matrix);
        chosen[matrix] = w.chosen;
        return w;
    }
};

struct Small {
    std::unique_ptr<Device> device = make_device("cpu", 1);
    DartsNet net;
    explicit Small(int partial) : net(*device, DType::f64, describe(partial)) { initialise(net.store(), 5); }
    static darts::Net describe(int partial) {
        darts::NetConfig c = darts::search_config("cifar10");
        c.classes = classes, c.input_size = side, c.channels = 4, c.layers = 4;
        return darts::search_net(c, {.partial = partial});
    }
    struct Run {
        double loss;
        Numbers dalphas[2];
        std::vector<int> written;  // ranges with a gradient
    };
    Run run(ArchRule& rule, std::int64_t number = 0) {
        net.set_rule(&rule);
        net.begin(Pass::weights, 3, number);
        Arena arena(*device);
        ExecutionScope execution(arena);
        Tape tape(arena, &net.store());
        TapeScope recording(&tape);
        const Tensor x = constants({pictures, side, side, 3}, DType::f64, golden::input(pictures * side * side * 3, 3)),
                     labels = empty({pictures}, DType::i32);
        const std::int32_t host[pictures] = {0, 2, 1, 1};
        device->copy_in(labels.data, host, labels.bytes());
        const Tensor loss = cross_entropy(net.logits(x, true), labels);
        backward_from(tape, loss);
        Run result{read_scalar(loss), {}, {}};
        for (int m : {0, 1}) {
            const Tensor g = tape.gradient(net.store().read(net.alphas()[static_cast<std::size_t>(m)]));
            if (g.defined()) result.dalphas[m] = numbers_of(g);
        }
        for (std::size_t p = 0; p < net.store().parameters().size(); p++)
            if (tape.gradient(net.store().read(static_cast<int>(p))).defined())
                result.written.push_back(static_cast<int>(p));
        net.set_rule(nullptr);
        return result;
    }
    /// Weights of one for what is chosen and of nothing for the rest, as the alphas.
    void set(const std::vector<int> (&chosen)[2]) {
        for (int m : {0, 1}) {
            Numbers a(edges * columns, 0.0);
            for (std::size_t e = 0; e < edges; e++) a[e * columns + static_cast<std::size_t>(chosen[m][e])] = 1;
            net.set(m ? "alphas_reduce" : "alphas_normal", a);
        }
    }
};

}  // namespace

TEST_CASE("a cell of one operator an edge is that of all with the others' weights nothing") {
    for (int partial : {1, 2})
        for (int turn = 0; turn < 3; turn++) {
            CAPTURE(partial);
            CAPTURE(turn);
            Small small(partial);
            Given one, all;
            for (int m : {0, 1})  // every operator somewhere, a node of nothing in turn 2
                for (int e = 0; e < static_cast<int>(edges); e++)
                    one.chosen[m].push_back(turn == 2 && e < 2 ? 0 : (e * 3 + 5 * m + turn) % darts::kPrimitives);
            small.set(one.chosen);
            const Small::Run chosen = small.run(one), whole = small.run(all);
            CHECK(chosen.loss == doctest::Approx(whole.loss).epsilon(1e-12));
            CHECK(chosen.written.size() < whole.written.size());
            for (int m : {0, 1})
                for (std::size_t i = 0; i < edges * columns; i++) {
                    CAPTURE(i);
                    const bool runs = one.chosen[m][i / columns] == static_cast<int>(i % columns);
                    REQUIRE(chosen.dalphas[m].size() == edges * columns);
                    if (runs)
                        CHECK(std::abs(chosen.dalphas[m][i] - whole.dalphas[m][i]) <=
                              1e-10 * (1 + std::abs(whole.dalphas[m][i])));
                    else
                        CHECK(chosen.dalphas[m][i] == 0);
                }
        }
}

TEST_CASE("GDAS on the DARTS space draws an operator for each edge of both kinds of cells, anew each step") {
    Small small(1);
    ArchRuleOptions o;
    o.algo = Algo::gdas;
    o.seed = 3;
    o.temperature = {10, 0.1, Temperature::Way::to_end, 250};
    const auto gdas = make_arch_rule(o);
    Given heard;
    heard.drawn_by = gdas.get();
    const Small::Run run = small.run(heard, 7);
    const std::vector<int> normal = heard.chosen[0], reduce = heard.chosen[1];
    CHECK(normal.size() == edges);
    CHECK(reduce.size() == edges);
    CHECK(normal != reduce);
    CHECK(small.run(heard, 7).loss == run.loss);  // statistics that training moved do not matter
    CHECK(heard.chosen[0] == normal);
    small.run(heard, 8);
    CHECK(heard.chosen[0] != normal);
    // The value is that of the drawn operators, and every alpha of a row gets a gradient; a row's sum is nothing.
    Given one;
    one.chosen[0] = normal, one.chosen[1] = reduce;
    small.set(one.chosen);
    CHECK(run.loss == doctest::Approx(small.run(one).loss).epsilon(1e-12));
    for (const Numbers& g : run.dalphas)
        for (std::size_t e = 0; e < edges; e++) {
            double sum = 0, largest = 0;
            for (std::size_t k = 0; k < columns; k++) {
                sum += g[e * columns + k];
                largest = std::max(largest, std::abs(g[e * columns + k]));
            }
            CHECK(std::abs(sum) <= 1e-12 * (1 + largest));
        }
}
