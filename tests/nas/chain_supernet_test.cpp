// Networks of chains: paths through supernets against networks that have nothing but the path, batch norms' modes,
// channel scales.
#include <doctest/doctest.h>

#include "tests/nas/chain_networks.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// The supernet's values in PyTorch's layout, of a tensor that is a slice of the first `shape` in both dimensions.
std::vector<double> first_of(const std::vector<double>& all, const std::vector<std::int64_t>& from,
                             const std::vector<std::int64_t>& to) {
    if (from == to) return all;
    std::vector<double> part;
    const std::int64_t rest = from.size() == 4 ? from[2] * from[3] : 1, in = from.size() > 1 ? from[1] : 1,
                       kept = to.size() > 1 ? to[1] : 1;
    for (std::int64_t o = 0; o < to[0]; o++)
        for (std::int64_t i = 0; i < kept; i++)
            for (std::int64_t k = 0; k < rest; k++)
                part.push_back(all[static_cast<std::size_t>((o * in + i) * rest + k)]);
    return part;
}

std::map<std::string, std::vector<std::int64_t>> shapes(const chain::Net& net) {
    std::map<std::string, std::vector<std::int64_t>> of;
    for (const chain::StateEntry& e : chain::state_entries(net.layers)) of[e.name] = e.shape;
    return of;
}

}  // namespace

TEST_CASE("a path through a chain's supernet is the network of that architecture") {
    const auto device = make_device("cpu");
    for (const char* name :
         {"shufflenet", "shufflenet-mmrazor", "shufflenet-channels", "mobilenet", "mobilenet-mmrazor"}) {
        CAPTURE(name);
        const chain::Space space = small_space(name, 1, 6);
        // SPOS's supernet has batch norms without affine; both kinds here.
        for (bool affine : {false, true}) {
            chain::Style style = chain::supernet_style(space);
            style.affine = affine;
            ChainNet super(*device, DType::f64, chain::supernet(space, style));
            fill_chain(super, 3);
            Arena arena(*device);
            for (std::uint32_t i = 0; i < 3; i++) {
                arena.reset();
                ExecutionScope execution(arena);
                const chain::Architecture path = random_path(space, i);
                CAPTURE(chain::to_string(path));
                ChainNet alone(*device, DType::f64, chain::subnet(space, path, style));
                const auto names = names_in_supernet(super.net(), alone.net());
                const auto large = shapes(super.net()), small = shapes(alone.net());
                for (const Parameter& p : alone.store().parameters())
                    alone.set(p.name,
                              first_of(super.get(names.at(p.name)), large.at(names.at(p.name)), small.at(p.name)));
                const Tensor x = chain_pictures(2, 32, DType::f64);
                const std::vector<double> untouched = super.get(super.store().buffers().back().name);
                // Two of the tensors of another architecture would differ in some element.
                ChainStep in_super = chain_step(super, path, {.norms = NormMode::batch}, x);
                const ChainStep own = chain_step(alone, path, {.norms = NormMode::batch}, x);
                CHECK(in_super.logits == own.logits);  // the same ops on the same numbers
                CHECK(largest_of(own.logits) > 1e-3);
                CHECK(in_super.gradients.size() == own.gradients.size());
                CHECK(super.get(super.store().buffers().back().name) == untouched);
                for (const auto& [tensor, gradient] : own.gradients) {
                    CAPTURE(tensor);
                    const std::string& there = names.at(tensor);
                    REQUIRE(in_super.gradients.contains(there));
                    const std::vector<double>& whole = in_super.gradients.at(there);
                    CHECK(first_of(whole, large.at(there), small.at(tensor)) == gradient);
                    double inside = 0, all = 0;
                    for (double v : gradient) inside += std::fabs(v);
                    for (double v : whole) all += std::fabs(v);
                    CHECK(all == doctest::Approx(inside).epsilon(1e-12));  // 0 in the channels that a scale leaves out
                }
            }
        }
    }
}

TEST_CASE("pieces of a chain one after another are its forward") {
    const auto device = make_device("cpu");
    const chain::Space space = small_space("mobilenet");
    ChainNet net(*device, DType::f32, chain::supernet(space));
    fill_chain(net, 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const chain::Architecture path = random_path(space, 4);
    const Tensor x = chain_pictures(3, 32, DType::f32);
    const ChainPass pass{.norms = NormMode::batch};
    Tensor y = net.stem(x, pass);
    CHECK(y.shape == Shape({3, 16, 16, 24}));
    for (int i = 0; i < 21; i++) y = net.block(i, path.ops[static_cast<std::size_t>(i)], chain::kUnscaled, y, pass);
    CHECK(numbers_of(net.head(y, pass)) == numbers_of(net.forward(x, path, pass)));
    CHECK_THROWS_WITH(net.block(0, -1, chain::kUnscaled, y, pass), "block 0 has no operator -1");
    CHECK_THROWS_WITH(net.forward(x, {{0, 1}, {}}, pass),
                      "an architecture of 2 operators; the space mobilenet has 21 blocks");
    CHECK_THROWS(net.forward(chain_pictures(1, 64, DType::f32), path, pass));
    CHECK_THROWS_WITH(net.forward(x, pass), "a supernet computes paths, and none was given");
    ChainNet subnet(*device, DType::f32, chain::subnet(space, path));
    chain::Architecture other = path;
    other.ops[0] = (other.ops[0] + 1) % 6;
    CHECK_THROWS(subnet.forward(x, other, pass));
}

TEST_CASE("running statistics move on the path alone, and elsewhere where a pass says so") {
    const auto device = make_device("cpu");
    const chain::Space space = small_space("shufflenet");
    ChainNet net(*device, DType::f64, chain::supernet(space)), twin(*device, DType::f64, chain::supernet(space));
    for (ChainNet* each : {&net, &twin}) fill_chain(*each, 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const chain::Architecture path = random_path(space, 4), other = random_path(space, 5);
    const Tensor x = chain_pictures(4, 32, DType::f64);
    auto buffers = [](const ChainNet& of) {
        std::map<std::string, std::vector<double>> all;
        for (const Buffer& b : of.store().buffers()) all[b.name] = of.get(b.name);
        return all;
    };
    const auto before = buffers(net);
    net.forward(x, path, {});
    const auto after = buffers(net);
    std::map<std::string, std::vector<double>> of_path;
    const auto names = names_in_supernet(net.net(), chain::subnet(space, path, chain::supernet_style(space)));
    std::size_t moved = 0;
    for (const auto& [own, there] : names)
        if (after.contains(there)) of_path[there] = after.at(there);
    for (const auto& [name, values] : after) {
        CAPTURE(name);
        CHECK((values != before.at(name)) == of_path.contains(name));
        moved += of_path.contains(name);
    }
    CHECK(moved > 100);
    std::int64_t counted = 0;
    for (const ChainNet::BatchCount& c : net.batch_counts()) {
        CHECK(c.count == (of_path.contains(c.module + ".running_mean") ? 1 : 0));
        counted += c.count;
    }
    CHECK(counted == static_cast<std::int64_t>(moved / 2));

    // The same numbers where statistics of the caller's stand in.
    std::vector<PieceStatistics> mine = twin.statistics(path, arena);
    const std::vector<double> logits = numbers_of(twin.forward(x, path, {.statistics = mine}));
    CHECK(buffers(twin) == before);
    for (const ChainNet::BatchCount& c : twin.batch_counts()) CHECK(c.count == 0);
    CHECK(logits == numbers_of(twin.forward(x, path, {.norms = NormMode::batch})));
    const auto evaluated = numbers_of(net.forward(x, path, {.norms = NormMode::running}));
    CHECK(evaluated == numbers_of(twin.forward(x, path, {.norms = NormMode::running, .statistics = mine})));
    CHECK(evaluated != logits);
    CHECK(buffers(net) == after);
    CHECK(numbers_of(mine[0][0].mean) == after.at("first_conv.1.running_mean"));
    CHECK(numbers_of(mine[21][0].variance) == after.at("conv_last.1.running_var"));
    CHECK_THROWS(twin.forward(x, other, {.statistics = mine}));
    CHECK_THROWS(twin.stem(x, {.statistics = mine}));
}

TEST_CASE("statistics of several batches: an average of theirs, or those of all pictures") {
    const auto device = make_device("cpu");
    for (const char* name : {"shufflenet", "mobilenet"}) {
        CAPTURE(name);
        const chain::Space space = small_space(name);
        ChainNet net(*device, DType::f64, chain::supernet(space));
        fill_chain(net, 1);
        Arena arena(*device);
        ExecutionScope execution(arena);
        const int sizes[] = {3, 1, 4};
        const ChainPiece stem;
        auto statistics = [&](NormMode mode, int first, int count, int per_batch) {
            PieceStatistics s = net.statistics(stem, arena);
            int done = 0;
            for (int i = first; i < first + count; i += per_batch) {
                int n = 0, from = 0;
                for (int k = 0; k < i; k++) from += sizes[k];
                for (int k = i; k < i + per_batch; k++) n += sizes[k];
                done += n;
                const Tensor x = chain_pictures(n, 32, DType::f64, static_cast<std::uint32_t>(from * 32 * 32 * 3));
                net.stem(x, {.norms = mode, .momentum = static_cast<double>(n) / done, .statistics = std::span(&s, 1)});
            }
            return s;
        };
        // Of the first convolution, whose input no batch norm touches.
        const NormStatistics pooled = statistics(NormMode::pooled, 0, 3, 1)[0],
                             together = statistics(NormMode::training, 0, 3, 3)[0],
                             means = statistics(NormMode::training, 0, 3, 1)[0];
        CHECK(largest_difference(numbers_of(pooled.mean), numbers_of(together.mean)) < 1e-13);
        CHECK(largest_difference(numbers_of(pooled.variance), numbers_of(together.variance)) < 1e-13);
        CHECK(largest_difference(numbers_of(means.mean), numbers_of(together.mean)) < 1e-13);
        std::vector<double> mean, variance;
        for (int i = 0; i < 3; i++) {
            const NormStatistics one = statistics(NormMode::training, i, 1, 1)[0];
            const std::vector<double> m = numbers_of(one.mean), v = numbers_of(one.variance);
            mean.resize(m.size()), variance.resize(m.size());
            for (std::size_t c = 0; c < m.size(); c++)
                mean[c] += m[c] * sizes[i] / 8, variance[c] += v[c] * sizes[i] / 8;
        }
        CHECK(largest_difference(numbers_of(means.mean), mean) < 1e-13);
        CHECK(largest_difference(numbers_of(means.variance), variance) < 1e-13);
        CHECK(largest_difference(numbers_of(means.variance), numbers_of(together.variance)) > 1e-6);
    }
}

TEST_CASE("dropout in a chain is a function of seed and step") {
    const auto device = make_device("cpu");
    const chain::Space space = small_space("shufflenet");
    ChainNet net(*device, DType::f32, chain::supernet(space));
    fill_chain(net, 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const chain::Architecture path = random_path(space, 4);
    const Tensor x = chain_pictures(2, 32, DType::f32);
    auto logits = [&](std::optional<DropoutKey> key) {
        return numbers_of(net.forward(x, path, {.norms = NormMode::batch, .dropout = key}));
    };
    const auto plain = logits({}), first = logits(DropoutKey{7, 1});
    CHECK(first != plain);
    CHECK(first == logits(DropoutKey{7, 1}));
    CHECK(first != logits(DropoutKey{7, 2}));
}
