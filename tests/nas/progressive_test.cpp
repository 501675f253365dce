// DrNAS's progressive search: which operators are left, that the others cost nothing, learning rates and warm-ups by
// stage.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>

#include "nas/algo/bilevel.h"
#include "nas/algo/loss.h"
#include "nas/algo/stages.h"
#include "nas/golden/numbers.h"
#include "nas/supernet/initialise.h"
#include "ops/constants.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

using Numbers = std::vector<double>;
constexpr int pictures = 2, side = 8, classes = 3;
constexpr double pruned_alpha = -std::numeric_limits<double>::infinity();

const SearchSpace& space(bool darts) { return search_space(darts ? "darts" : "nasbench201", false, !darts); }
std::unique_ptr<SearchNet> make_net(Device& device, DType dtype, bool darts, int partial) {
    auto net = space(darts).make_net(
        device, dtype, {.classes = classes, .size = side, .channels = 4, .layers = 3, .cells = 1, .partial = partial});
    initialise(net->store(), 5);
    return net;
}

/// Three operators of each edge, another three from edge to edge.
Kept some(const SearchSpace& s) {
    Alphas alphas;
    for (const AlphaMatrix& m : s.matrices()) alphas.push_back(golden::input(m.size(), 31));
    return pruned(alphas, s.matrices(), 3);
}

struct Work {
    double loss = 0;
    std::int64_t launches = 0;
    std::size_t bytes = 0;
    std::set<std::string> written;  // ranges
};
Work work(SearchNet& net, const Kept& kept) {
    Device& device = net.store().device();
    ArchRuleOptions o;
    o.algo = Algo::drnas;
    o.seed = 3;
    o.kept = kept;
    const auto rule = make_arch_rule(o);
    net.set_rule(rule.get());
    net.begin(Pass::weights, 0, 1);
    Arena arena(device);
    ExecutionScope execution(arena);
    const DType dtype = net.store().dtype();
    const Tensor x = constants({pictures, side, side, 3}, dtype, golden::input(pictures * side * side * 3, 3)),
                 labels = empty({pictures}, DType::i32);
    const std::int32_t host[pictures] = {0, 2};
    device.copy_in(labels.data, host, labels.bytes());
    Tape tape(arena, &net.store(), Tape::Gradients::parameters_fixed);
    TapeScope recording(&tape);
    Work w;
    const std::int64_t start = device.launches();
    const Tensor loss = cross_entropy(net.logits(x, true), labels);
    w.bytes = arena.used();
    backward_from(tape, loss);
    w.launches = device.launches() - start;
    w.loss = read_scalar(loss);
    for (const WrittenRange& r : tape.written())
        w.written.insert(net.store().ranges()[static_cast<std::size_t>(r.range)].name);
    net.set_rule(nullptr);
    return w;
}

/// Whether a layer's operator is pruned: of the names of the first column's operators.
std::string prefix(bool darts, std::size_t edge, std::size_t op) {
    if (darts) return fmt::format("._ops.{}._ops.{}.", edge, op);
    const nb201::Edge e = nb201::kEdgeList[edge];
    return fmt::format(".edges.{}<-{}.{}.", e.to, e.from, op);
}
bool reduces(const std::string& name) { return !name.starts_with("cells.0."); }  // of three cells the last two

}  // namespace

TEST_CASE("of each edge the largest alphas are kept, of equals the first, and nothing comes back") {
    const std::vector<AlphaMatrix> matrices{{"a", {"1<-0", "2<-0"}, {"x", "y", "z"}},
                                            {"betas", {"1<-0", "2<-0"}, {"edge"}}};
    const Alphas alphas{{1, 3, 2, 0, 0, 0}, {5, 6}};
    const Kept two = pruned(alphas, matrices, 2);
    CHECK(two == Kept{{false, true, true, true, true, false}, {true, true}});
    CHECK(operators_left(two, matrices) == std::vector<int>{2, 2});
    CHECK(operators_left({}, matrices) == std::vector<int>{3, 3});
    CHECK(describe(two, matrices) == std::vector<std::string>{"1<-0: y z", "2<-0: x y"});
    std::vector<AlphaMatrix> both{matrices[0], matrices[0]};
    both[1].name = "b";
    CHECK(describe({}, both)[2] == "b 1<-0: x y z");
    CHECK(pruned({{-9, pruned_alpha, -8, pruned_alpha, -7, pruned_alpha}, {0, 0}}, matrices, 2) ==
          Kept{{true, false, true, false, true, false}, {true, true}});
    CHECK(kept_of(kept_texts(two), matrices) == two);
    CHECK(kept_of({}, matrices).empty());
    for (const std::vector<std::string>& wrong :
         std::vector<std::vector<std::string>>{{"011110"}, {"01111", "11"}, {"01111x", "11"}, {"011000", "11"}})
        CHECK_THROWS_AS(kept_of(wrong, matrices), Error);
}

TEST_CASE("pruned operators are not computed, keep no memory, and have no gradient") {
    for (bool darts : {false, true})
        for (int partial : {1, 2}) {
            CAPTURE(darts);
            CAPTURE(partial);
            auto device = make_device("cpu", 1);
            auto net = make_net(*device, DType::f64, darts, partial);
            const Kept kept = some(space(darts));
            const std::vector<AlphaMatrix> matrices = space(darts).matrices();
            auto is_pruned = [&](const std::string& name) {
                const std::size_t m = darts && reduces(name), columns = matrices[m].operators.size();
                for (std::size_t i = 0; i < kept[m].size(); i++)
                    if (!kept[m][i] && name.find(prefix(darts, i / columns, i % columns)) != std::string::npos)
                        return true;
                return false;
            };
            const Work all = work(*net, {}), some = work(*net, kept);
            // Partial cells of NAS-Bench-201 store no result of a 1x1 on the CPU, pruned or not.
            CHECK(some.bytes < (darts || partial == 1 ? all.bytes * 3 / 4 : all.bytes * 4 / 5));
            CHECK(some.loss != all.loss);
            // Weights that are not numbers change nothing where they are not read.
            std::set<std::string> expected;
            std::vector<std::string> untouched;
            ParameterStore& store = net->store();
            for (std::size_t p = 0; p < store.parameters().size(); p++) {
                const Parameter& parameter = store.parameters()[p];
                if (!is_pruned(parameter.name)) {
                    expected.insert(store.ranges()[static_cast<std::size_t>(parameter.range)].name);
                    continue;
                }
                const Tensor t = store.raw(static_cast<int>(p));
                const Numbers nan(t.size(), std::nan(""));
                device->copy_in(t.data, nan.data(), t.bytes());
                untouched.push_back(parameter.name);
            }
            REQUIRE(untouched.size() > 5);
            std::vector<Numbers> running;
            for (int pass : {0, 1}) {
                std::size_t at = 0;
                for (const Buffer& b : store.buffers()) {
                    if (!is_pruned(b.name)) continue;
                    Numbers now(b.tensor.size());
                    device->copy_out(now.data(), b.tensor.data, b.tensor.bytes());
                    if (pass == 0)
                        running.push_back(now);
                    else
                        CHECK(now == running[at]);
                    at++;
                }
                if (pass == 1) break;
                const Work again = work(*net, kept);
                CHECK(again.loss == some.loss);
                CHECK(again.bytes == some.bytes);
                CHECK(again.written == expected);
            }
            CHECK(running.size() > 5);
        }
}

TEST_CASE("pruned operators are not launched") {
    for (bool darts : {false, true}) {
        const auto device = testing::gpu_device();
        if (!device) return;
        if (device->name().find("emulated") == std::string::npos) {
            MESSAGE("[SKIPPED] CUDA counts no launches outside of graphs");
            return;
        }
        auto net = make_net(*device, DType::f32, darts, 2);
        const SearchSpace& s = space(darts);
        // Of NAS-Bench-201 the identity and nothing else; of DARTS the dilated convolution, a launch of all branches.
        Kept one;
        for (const AlphaMatrix& m : s.matrices()) {
            std::vector<bool>& of = one.emplace_back(m.size(), false);
            for (std::size_t e = 0; e < m.edges.size(); e++) of[e * m.operators.size() + (darts ? 5 : 1)] = true;
        }
        const Work all = work(*net, {}), few = work(*net, one);
        MESSAGE(std::string(darts ? "darts" : "nasbench201"), ": ", all.launches, " launches, of one operator ",
                few.launches);
        CHECK(few.launches < all.launches);
        CHECK(std::isfinite(few.loss));
        if (darts) continue;
        // Each of the three cells saves the convolutions, forward and backward, and the pools of three nodes.
        CHECK(all.launches - few.launches >= 3 * 3 * 6);
    }
}

TEST_CASE("a stage begins with the first rate as released, or goes on, and alphas wait in each") {
    BilevelTraining t;
    t.epochs = 100;
    t.stages = {50};
    t.begin = 10;
    CHECK(learning_rate(t, 50) == doctest::Approx(0.013).epsilon(1e-12));
    t.lr_restarts = true;
    CHECK(stage_start(t, 49) == 0);
    CHECK(stage_start(t, 50) == 50);
    CHECK(stage_start(t, 99) == 50);
    CHECK(learning_rate(t, 0) == 0.025);
    CHECK(learning_rate(t, 1) == doctest::Approx(0.02499407872438878).epsilon(1e-14));
    CHECK(learning_rate(t, 50) == 0.025);
    CHECK(learning_rate(t, 51) == doctest::Approx(0.024246141782124923).epsilon(1e-12));
    CHECK(learning_rate(t, 99) == doctest::Approx(0.0010118425512224416).epsilon(1e-12));
    // DrNAS on ImageNet: the scheduler goes on from what the warm-up left.
    BilevelTraining warm;
    warm.epochs = 50;
    warm.lr = 0.5;
    warm.lr_min = 0;
    warm.warmup = 5;
    warm.stages = {25};
    CHECK(learning_rate(warm, 3) == 0.4);
    CHECK(learning_rate(warm, 24) == doctest::Approx(0.265697).epsilon(1e-5));
    warm.lr_restarts = true;
    CHECK(learning_rate(warm, 4) == 0.5);
    CHECK(learning_rate(warm, 5) == doctest::Approx(0.495548).epsilon(1e-5));
    CHECK(learning_rate(warm, 24) == doctest::Approx(0.269938).epsilon(1e-5));
    CHECK(learning_rate(warm, 25) == 0.5);
    CHECK(learning_rate(warm, 26) == doctest::Approx(0.468605).epsilon(1e-5));
    // A stage within the warm-up: its last epoch's rate is what the scheduler goes on from.
    warm.stages = {3};
    CHECK(learning_rate(warm, 3) == 0.4);
    CHECK(learning_rate(warm, 5) == doctest::Approx(0.495548).epsilon(1e-5));
}

TEST_CASE("a masked rule draws of all operators and leaves the pruned ones out") {
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const SearchSpace& s = space(false);
    const Kept kept = some(s);
    ArchRuleOptions o;
    o.algo = Algo::drnas;
    o.seed = 3;
    const auto all = make_arch_rule(o);
    o.kept = kept;
    const auto masked = make_arch_rule(o);
    const Tensor alphas = constants({nb201::kEdges, nb201::kOps}, DType::f64, golden::input(30, 8));
    for (const auto& rule : {all.get(), masked.get()}) rule->begin(Pass::weights, 0, 4);
    const ArchWeights whole = all->weights(alphas, 0), part = masked->weights(alphas, 0);
    CHECK(whole.kept.empty());
    CHECK(part.kept == kept[0]);
    const Numbers w = numbers_of(whole.weights), p = numbers_of(part.weights);
    for (std::size_t row = 0; row < 30; row += 5) {
        double sum = 0;
        for (std::size_t i = row; i < row + 5; i++) sum += kept[0][i] ? w[i] : 0;
        for (std::size_t i = row; i < row + 5; i++)
            CHECK(p[i] == (kept[0][i] ? doctest::Approx(w[i] / sum).epsilon(1e-14) : doctest::Approx(0)));
    }
}
