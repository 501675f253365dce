// Angles between states of a MobileNet supernet: sums against vectors laid end to end, and files that are refused.
#include "nas/supernet/chain_angle_table.h"

#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>

#include "nas/supernet/chain_state_dict.h"
#include "tests/nas/chain_networks.h"
#include "tests/temporary_folder.h"

using namespace nascent;

namespace {

chain::Net small_net() { return chain::supernet(chain::space("mobilenet-fairnas", {.classes = 7, .input_size = 32})); }

/// The vectors as the published programs append them, for one architecture.
std::vector<double> vector_of(const StateDict& state, const chain::Net& net, const std::vector<int>& ops, bool rlnas) {
    std::vector<double> all;
    auto append = [&](const std::string& name) {
        const auto& values = state.at(name).values;
        all.insert(all.end(), values.begin(), values.end());
    };
    int block = -1, norms = 0;
    for (const chain::Layer& l : net.layers) {
        if (l.kind == chain::LayerKind::linear) append(l.name + ".weight");
        if (l.part != chain::Part::block) {
            if (l.kind == chain::LayerKind::conv) append(l.name + ".weight");
            continue;
        }
        if (l.op != ops[static_cast<std::size_t>(l.block)]) continue;
        if (l.block != block) block = l.block, norms = 0;
        if (l.kind == chain::LayerKind::conv) append(l.name + ".weight");
        if (l.kind == chain::LayerKind::batch_norm && rlnas && ++norms <= 2)
            append(l.name + ".weight"), append(l.name + ".bias");
    }
    return all;
}

double angle_between(const std::vector<double>& a, const std::vector<double>& b) {
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < a.size(); i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    return std::acos(ab / std::sqrt(aa * bb));
}

}  // namespace

TEST_CASE("angles of a supernet of chains are those of the vectors laid end to end") {
    const auto device = make_device("cpu", 2);
    ChainNet before(*device, DType::f64, small_net()), now(*device, DType::f64, small_net());
    testing::fill_chain(before, 3);
    testing::fill_chain(now, 4);
    for (const Parameter& p : now.store().parameters()) {  // not at right angles
        std::vector<double> a = before.get(p.name), b = now.get(p.name);
        for (std::size_t i = 0; i < a.size(); i++) b[i] = a[i] + 0.3 * b[i];
        now.set(p.name, b);
    }
    const StateDict initial = state_dict(before), trained = state_dict(now);
    const chain::AngleParts parts = angle_parts(now.net(), initial, trained, "before", "now");
    for (bool rlnas : {false, true}) {
        const ChainAngle angle(
            chain::angle_table(now.space(), parts, rlnas ? ChainAngleRules::rlnas() : ChainAngleRules::anglenas()));
        for (std::uint32_t i = 0; i < 5; i++) {
            const std::vector<int> ops = testing::random_path(now.space(), i).ops;
            const std::vector<double> a = vector_of(initial, now.net(), ops, rlnas),
                                      b = vector_of(trained, now.net(), ops, rlnas);
            const double want = angle_between(a, b);
            // Three sums of as many terms, in another order; the arc cosine's slope is 1 / sin.
            const double tolerance = 3 * static_cast<double>(a.size()) * DBL_EPSILON / std::sin(want);
            CHECK(std::abs(angle.angle(ops) - want) < tolerance);
            CHECK(tolerance < 1e-7);
        }
    }
}

TEST_CASE("a file says which chain's supernet it is") {
    const auto device = make_device("cpu", 2);
    ChainNet net(*device, DType::f32, small_net());
    testing::fill_chain(net, 3);
    test::TemporaryFolder folder;
    const std::string path = folder / "net.safetensors";
    const std::map<std::string, std::string> about{{"space", "mobilenet-fairnas"}, {"input_size", "32"}};
    state_dict(net).write(path, DType::f32, about);
    const StateDict state = StateDict::read(path);
    const chain::Net found = chain_supernet(state, path);
    CHECK(found.space.name == "mobilenet-fairnas");
    CHECK(found.space.config == net.space().config);
    CHECK(found.layers.size() == net.net().layers.size());
    auto refused = [&](const std::map<std::string, std::string>& metadata, auto&& change) {
        StateDict other = state_dict(net);
        change(other);
        other.write(path, DType::f32, metadata);
        CHECK_THROWS_AS(chain_supernet(StateDict::read(path), path), Error);
    };
    const auto nothing = [](StateDict&) {};
    refused({{"space", "mobilenet-fairnas"}}, nothing);
    refused({{"space", "mobilenet"}, {"input_size", "32"}}, nothing);
    refused({{"space", "shufflenet"}, {"input_size", "32"}}, nothing);
    refused({{"space", "no space"}, {"input_size", "32"}}, nothing);
    refused({{"space", "mobilenet-fairnas"}, {"input_size", "31"}}, nothing);
    refused({{"space", "mobilenet-fairnas"}, {"input_size", "-9"}}, nothing);
    refused(about, [](StateDict& s) { s.set("something.weight", {{1}, {1.0}}); });
    refused(about, [](StateDict& s) { s.set("classifier.0.weight", {{1}, {1.0}}); });
}
