// Steps in bf16 multiply the weights of convolutions as they are rounded once a forward (ops/rounded_weights.h).
#include "ops/rounded_weights.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "nas/algo/search_pictures.h"
#include "nas/golden/numbers.h"
#include "nas/supernet/initialise.h"
#include "ops/constants.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"

using namespace nascent;
using testing::bf16_device;

namespace {

/// Whether tensor cores multiply it: the stem's is multiplied as floats.
bool is_dense(const Parameter& p) { return p.shape.rank() == 4 && p.shape[2] % 8 == 0 && p.shape[3] % 8 == 0; }

using Values = std::vector<double>;
struct Outcome {
    std::vector<Values> numbers;  // losses, then gradients
    std::size_t rounded = 0;      // parameters that are read as bf16, of those that tensor cores multiply
};

/// Two forwards and backwards of a network, weights changed between them. `without`: from each forward's first read on
/// until its backward ends there are no numbers where tensor cores' weights are as floats, and before it none where
/// they are rounded.
template <class Forward>
Outcome passes(ParameterStore& store, Forward&& forward, bool without) {
    Device& device = store.device();
    initialise(store, 3);
    Outcome o;
    for (int pass = 0; pass < 2; pass++) {
        std::vector<std::pair<Tensor, std::vector<float>>> taken;  // the floats, to be put back
        for (std::size_t p = 0; p < store.parameters().size(); p++) {
            const Tensor w = store.raw(static_cast<int>(p));
            std::vector<float> host(w.size());
            device.copy_out(host.data(), w.data, w.bytes());
            if (pass > 0)
                for (float& v : host) v *= 1.25f;
            device.copy_in(w.data, host.data(), w.bytes());
            if (is_dense(store.parameters()[p])) taken.emplace_back(w, host);
        }
        if (without) {
            for (const ParameterRange& r : store.ranges())
                if (r.rounded) device.fill(r.rounded, 0xff, 2 * r.count);
            store.set_before_read([&, ahead = false](std::span<const int> ranges) mutable {
                if (ahead)
                    for (const auto& [w, host] : taken) device.fill(w.data, 0xff, w.bytes());
                ahead = ahead || ranges.size() > 1;  // what comes next comes behind the rounding
            });
        }
        Arena arena(device);
        ExecutionScope execution(arena);
        Tape tape(arena, &store);
        TapeScope recording(&tape);
        const Tensor x = empty({4, 16, 16, 3}, DType::f32), labels = empty({4}, DType::i32);
        const Values numbers = golden::input(x.size(), 7);
        const std::vector<float> pixels(numbers.begin(), numbers.end());
        const std::int32_t classes[] = {0, 2, 1, 2};
        device.copy_in(x.data, pixels.data(), x.bytes());
        device.copy_in(labels.data, classes, labels.bytes());
        const Tensor loss = cross_entropy(forward(x), labels);
        store.set_before_read(nullptr);
        backward_from(tape, loss);
        o.numbers.push_back(numbers_of(loss));
        o.rounded = 0;
        for (std::size_t p = 0; p < store.parameters().size(); p++) {
            const Tensor w = store.read(static_cast<int>(p));
            CHECK(w.rounded == nullptr);  // outside of a forward
            if (const Tensor g = tape.gradient(w); g.defined()) o.numbers.push_back(numbers_of(g));
            o.rounded += is_dense(store.parameters()[p]) && store.range(store.parameters()[p].range).rounded;
        }
        for (const auto& [w, host] : taken) device.copy_in(w.data, host.data(), w.bytes());
    }
    return o;
}

template <class Make>
void check(Make&& make, std::size_t rounded) {
    auto one = bf16_device(), other = bf16_device(), strict = testing::gpu_device();
    if (!one) return;
    auto run = [&](Device& device, bool without) {
        auto [store, forward, net] = make(device);
        return passes(*store, forward, without);
    };
    const Outcome with = run(*one, false), without = run(*other, true), as_floats = run(*strict, false);
    for (const Values& v : with.numbers)
        CHECK(std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x); }));
    CHECK(with.numbers.size() > rounded);
    CHECK(with.numbers == without.numbers);
    CHECK(with.rounded == rounded);
    CHECK(as_floats.rounded == 0);
}

}  // namespace

TEST_CASE("a path's forward and backward in bf16 read no convolution's weights as floats") {
    const Nb201Path path(3,
                         nb201::parse_architecture("|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|avg_pool_3x3~0|"
                                                   "nor_conv_1x1~1|skip_connect~2|"));
    check(
        [&](Device& device) {
            auto net = std::make_shared<Nb201Supernet>(device, DType::f32, nb201::NetConfig{3, 16, 16, 1});
            return std::tuple(
                &net->store(), [net = net.get(), &path](const Tensor& x) { return net->forward(x, path, true); }, net);
        },
        3 * 4 + 2 * 3);
}

TEST_CASE("a mixed network's forward and backward in bf16 read no convolution's weights as floats") {
    check(
        [](Device& device) {
            std::shared_ptr<SearchNet> net =
                search_space("nasbench201")
                    .make_net(device, DType::f32, {.classes = 3, .size = 16, .channels = 16, .layers = 3, .cells = 1});
            return std::tuple(
                &net->store(), [net = net.get()](const Tensor& x) { return net->logits_of_copies(x, true)[0]; }, net);
        },
        3 * 12 + 2 * 3);
}
