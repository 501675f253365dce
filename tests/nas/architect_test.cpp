// The architect against the original program's way: whole networks copied, weights moved in place.
#include "nas/algo/architect.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/autograd/execution.h"
#include "nas/golden/numbers.h"
#include "nas/golden/tensors.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/nasbench201_mixed.h"
#include "ops/constants.h"
#include "ops/optim/sgd.h"
#include "ops/reference.h"

using namespace nascent;

namespace {

using Values = std::vector<double>;

constexpr int pictures = 4, side = 8, classes = 3;

std::unique_ptr<SearchNet> make_net(Device& device, DType dtype, bool darts) {
    std::unique_ptr<SearchNet> net;
    if (darts) {
        darts::NetConfig config = darts::search_config("cifar10");
        config.channels = 2;
        config.layers = 3;
        config.classes = classes;
        config.input_size = side;
        net = std::make_unique<DartsNet>(device, dtype, darts::search_net(config));
    } else {
        net = std::make_unique<Nb201MixedNet>(device, dtype, nb201::NetConfig{classes, side, 4, 1},
                                              Nb201MixedNet::Cells{});
    }
    initialise(net->store(), 5);
    // Alphas and momenta of a search that is under way.
    for (std::size_t p = 0; p < net->store().parameters().size(); p++) {
        const Tensor m = net->store().raw_momentum(static_cast<int>(p));
        Values values = golden::input(m.size(), static_cast<std::uint32_t>(p));
        for (double& v : values) v *= 0.01;
        write_numbers(m, values);
    }
    for (int p : net->alphas()) write_numbers(net->store().raw(p), golden::input(net->store().raw(p).size(), 77));
    return net;
}

LabelledBatch batch(DType dtype, std::uint32_t seed) {
    const Tensor x = empty({pictures, side, side, 3}, dtype), labels = empty({pictures}, DType::i32);
    write_numbers(x, golden::input(x.size(), seed));
    const std::int32_t host[pictures] = {0, 2, 1, static_cast<std::int32_t>(seed % 3)};
    labels.device->copy_in(labels.data, host, labels.bytes());
    return {x, labels};
}

/// Loss, and the gradients of all parameters by their number.
struct Differentiated {
    double loss;
    std::vector<Values> gradients;
};
Differentiated differentiate(SearchNet& net, const LabelledBatch& b) {
    Arena arena(net.store().device());
    ExecutionScope execution(arena);
    Tape tape(arena, &net.store());
    TapeScope recording(&tape);
    const Tensor loss = cross_entropy(net.logits(b.x, true), b.labels);
    backward_from(tape, loss);
    Differentiated d{read_scalar(loss), {}};
    for (std::size_t p = 0; p < net.store().parameters().size(); p++)
        d.gradients.push_back(numbers_of(tape.gradient(net.store().read(static_cast<int>(p)))));
    return d;
}

std::vector<Values> state(const SearchNet& net, bool momentum) {
    std::vector<Values> all;
    ParameterStore& store = const_cast<SearchNet&>(net).store();
    for (std::size_t p = 0; p < store.parameters().size(); p++)
        all.push_back(numbers_of(momentum ? store.raw_momentum(static_cast<int>(p)) : store.raw(static_cast<int>(p))));
    return all;
}
std::vector<Values> buffers(SearchNet& net) {
    std::vector<Values> all;
    for (const Buffer& b : net.store().buffers()) all.push_back(numbers_of(b.tensor));
    return all;
}

constexpr double lr = 0.02, momentum = 0.9, decay = 3e-4;

/// Alphas' gradients as the original computes them: a new network for the unrolled weights, the live one moved to w +-.
std::vector<Values> copied_second_order(Device& device, SearchNet& live, bool darts, const LabelledBatch& train,
                                        const LabelledBatch& valid, double* loss) {
    ParameterStore& store = live.store();
    const std::vector<int> alphas = live.alphas();
    auto is_alpha = [&](std::size_t p) { return std::count(alphas.begin(), alphas.end(), static_cast<int>(p)) > 0; };
    const std::vector<Values> w = state(live, false), m = state(live, true);
    const Differentiated g = differentiate(live, train);
    auto unrolled = make_net(device, store.dtype(), darts);
    for (std::size_t p = 0; p < w.size(); p++) {
        Values ahead = w[p];
        for (std::size_t i = 0; !is_alpha(p) && i < ahead.size(); i++)
            ahead[i] -= lr * (momentum * m[p][i] + g.gradients[p][i] + decay * w[p][i]);
        write_numbers(unrolled->store().raw(static_cast<int>(p)), ahead);
    }
    const Differentiated v = differentiate(*unrolled, valid);
    *loss = v.loss;
    double squares = 0;
    for (std::size_t p = 0; p < w.size(); p++)
        for (std::size_t i = 0; !is_alpha(p) && i < w[p].size(); i++) squares += v.gradients[p][i] * v.gradients[p][i];
    const double e = 0.01 / std::sqrt(squares);
    auto moved = [&](double factor) {
        for (std::size_t p = 0; p < w.size(); p++) {
            Values to = w[p];
            for (std::size_t i = 0; !is_alpha(p) && i < to.size(); i++) to[i] += factor * v.gradients[p][i];
            write_numbers(store.raw(static_cast<int>(p)), to);
        }
        return differentiate(live, train);
    };
    const Differentiated plus = moved(e), minus = moved(-e);
    for (std::size_t p = 0; p < w.size(); p++) write_numbers(store.raw(static_cast<int>(p)), w[p]);
    std::vector<Values> result;
    for (int a : alphas) {
        const auto p = static_cast<std::size_t>(a);
        Values to = v.gradients[p];
        for (std::size_t i = 0; i < to.size(); i++)
            to[i] -= lr * (plus.gradients[p][i] - minus.gradients[p][i]) / (2 * e);
        result.push_back(to);
    }
    return result;
}

std::vector<Values> architect_gradients(Architect& architect, SearchNet& net, const LabelledBatch& train,
                                        const LabelledBatch& valid, double* loss = nullptr,
                                        std::size_t* written = nullptr) {
    std::vector<Values> result;
    const double value = architect.gradients(train, valid, lr, [&](const Tape& tape) {
        for (int a : net.alphas()) result.push_back(numbers_of(tape.gradient(net.store().read(a))));
        if (written) *written = tape.written().size();
    });
    if (loss) *loss = value;
    return result;
}

double cosine(const std::vector<Values>& a, const std::vector<Values>& b) {
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t k = 0; k < a.size(); k++)
        for (std::size_t i = 0; i < a[k].size(); i++)
            ab += a[k][i] * b[k][i], aa += a[k][i] * a[k][i], bb += b[k][i] * b[k][i];
    return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("first order: the alphas' gradients and no weight's") {
    auto device = make_device("cpu", 2);
    for (bool darts : {true, false}) {
        CAPTURE(darts);
        auto net = make_net(*device, DType::f64, darts), other = make_net(*device, DType::f64, darts);
        Arena arena(*device, std::size_t{1} << 32, true);
        ExecutionScope execution(arena);
        const LabelledBatch train = batch(DType::f64, 1), valid = batch(DType::f64, 2);
        const Differentiated want = differentiate(*other, valid);
        Architect architect(*net, arena, {false, momentum, decay});
        CHECK(architect.second_bytes() == 0);
        const auto before = state(*net, false);
        const std::size_t mark = arena.mark();
        double loss = 0;
        std::size_t written = 0;
        const auto got = architect_gradients(architect, *net, train, valid, &loss, &written);
        CHECK(arena.mark() == mark);
        CHECK(written == net->alphas().size());  // ranges: no weight's is among them
        CHECK(loss == want.loss);
        for (std::size_t k = 0; k < got.size(); k++)
            CHECK(got[k] ==
                  want.gradients[static_cast<std::size_t>(net->alphas()[k])]);  // the same work: the same bits
        CHECK(state(*net, false) == before);
        CHECK(buffers(*net) == buffers(*other));
    }
}

TEST_CASE("second order equals copied networks, weights stay to the bit, running statistics move as the original's") {
    auto device = make_device("cpu", 2);
    for (int variant = 0; variant < 4; variant++) {
        const bool darts = variant % 2 == 0, twin = variant >= 2;
        CAPTURE(darts);
        CAPTURE(twin);
        auto net = make_net(*device, DType::f64, darts), other = make_net(*device, DType::f64, darts);
        Arena arena(*device, std::size_t{1} << 32, true);
        ExecutionScope execution(arena);
        const LabelledBatch train = batch(DType::f64, 1), valid = batch(DType::f64, 2);
        double want_loss = 0, loss = 0;
        const auto want = copied_second_order(*device, *other, darts, train, valid, &want_loss);
        Architect architect(*net, arena, {true, momentum, decay, twin});
        const auto weights = state(*net, false), momenta = state(*net, true);
        const auto got = architect_gradients(architect, *net, train, valid, &loss);
        CHECK(state(*net, false) == weights);
        CHECK(state(*net, true) == momenta);
        CHECK(std::abs(loss - want_loss) <= 1e-12 * want_loss);
        double largest = 0, off = 0;
        for (std::size_t k = 0; k < got.size(); k++)
            for (std::size_t i = 0; i < got[k].size(); i++) {
                largest = std::max(largest, std::abs(want[k][i]));
                off = std::max(off, std::abs(got[k][i] - want[k][i]));
            }
        // The difference quotient divides roundings of gradients by e, 1e-2 to 1e-4.
        CHECK(off <= 1e-9 * largest);
        const auto moved = buffers(*net), wanted = buffers(*other);
        for (std::size_t b = 0; b < moved.size(); b++)
            for (std::size_t i = 0; i < moved[b].size(); i++)
                CHECK(std::abs(moved[b][i] - wanted[b][i]) <= 1e-11 * (1 + std::abs(wanted[b][i])));
        const auto first_order =
            architect_gradients(*std::make_unique<Architect>(*net, arena, ArchitectOptions{}), *net, train, valid);
        CHECK(cosine(first_order, got) < 0.999999);  // the orders differ
        // Weights exist twice: the second set is as large as the first, and the running statistics.
        std::size_t size = 0;
        for (int r : architect.weight_ranges()) size += net->store().range(r).count * sizeof(double);
        for (const Buffer& b : net->store().buffers()) size += b.tensor.bytes();
        CHECK(architect.second_bytes() >= size);
        const std::size_t each = checked_by_default ? 128 : 64;  // up to the next line, and a red zone
        CHECK(architect.second_bytes() <=
              size + each * (net->store().ranges().size() + net->store().buffers().size() + 1));
        if (auto* nb201 = dynamic_cast<Nb201MixedNet*>(net.get()))
            for (const auto& c : nb201->batch_counts()) CHECK(c.count == 4);  // three passes, and one of first order
    }
}

TEST_CASE("second order in float32 points where it does in float64") {
    auto device = make_device("cpu", 2);
    for (int variant = 0; variant < 4; variant++) {
        const bool darts = variant % 2 == 0, twin = variant >= 2;
        CAPTURE(darts);
        CAPTURE(twin);
        std::vector<Values> gradients[2];
        for (DType dtype : {DType::f64, DType::f32}) {
            auto net = make_net(*device, dtype, darts);
            Arena arena(*device);
            ExecutionScope execution(arena);
            Architect architect(*net, arena, {true, momentum, decay, twin});
            gradients[dtype == DType::f32] = architect_gradients(architect, *net, batch(dtype, 1), batch(dtype, 2));
        }
        CHECK(cosine(gradients[0], gradients[1]) >= 0.9);
    }
}

TEST_CASE("the mixed NAS-Bench-201 network with one operator certain is that architecture's path") {
    auto device = make_device("cpu", 2);
    const nb201::NetConfig config{classes, side, 4, 2};
    for (const char* text : {"|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
                             "|none~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"}) {
        CAPTURE(text);
        const nb201::Architecture arch = nb201::parse_architecture(text);
        for (bool training : {true, false})
            for (bool track : {true, false}) {
                Nb201MixedNet mixed(*device, DType::f64, config, {.track = track});
                Nb201Supernet path(*device, DType::f64, config, {.affine = false, .track_running_stats = track});
                initialise(mixed.store(), 3);
                initialise(path.store(), 3);
                Values alphas(nb201::kEdges * nb201::kOps, -2000.0);
                for (std::size_t e = 0; e < nb201::kEdges; e++)
                    alphas[e * nb201::kOps + static_cast<std::size_t>(arch.ops[e])] = 0;
                write_numbers(mixed.store().raw(mixed.alphas()[0]), alphas);
                Arena arena(*device);
                ExecutionScope execution(arena);
                const LabelledBatch b = batch(DType::f64, 4);
                const Values got = numbers_of(mixed.logits(b.x, training));
                const Values want = numbers_of(path.forward(b.x, std::vector(6, arch), training));
                for (std::size_t i = 0; i < got.size(); i++)
                    CHECK(std::abs(got[i] - want[i]) <= 1e-10 * (1 + std::abs(want[i])));
            }
    }
}
