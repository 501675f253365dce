#include "nas/supernet/state_dict.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "nas/supernet/angle_table.h"
#include "tests/temporary_folder.h"

using namespace nascent;

namespace {
void expect_error(const std::string& part, const std::function<void()>& f) {
    try {
        f();
        FAIL("no error, expected one with: " << part);
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::checkpoint);
        CHECK_MESSAGE(std::string(e.what()).find(part) != std::string::npos, e.what());
    }
}
}  // namespace

TEST_CASE("a state dict has the published names and shapes, and goes to a file and back") {
    auto device = make_device("cpu", 1);
    test::TemporaryFolder folder;
    for (bool affine : {false, true})
        for (DType dtype : {DType::f32, DType::f64}) {
            const nb201::Style style{.affine = affine};
            const nb201::NetConfig config{100, 32, 16, 2};
            Nb201Supernet net(*device, dtype, config, style), other(*device, dtype, config, style);
            net.initialise(1);
            net.batch_counts()[3].count = 17;
            const StateDict state = StateDict::of(net);
            const auto layers = nb201::supernet_layers(config, style);
            std::size_t entries = 0;
            for (const nb201::StateEntry& e : nb201::state_entries(layers, style)) {
                CAPTURE(e.name);
                CHECK(state.at(e.name).shape == e.shape);
                entries++;
            }
            CHECK(entries == state.entries().size());
            CHECK(static_cast<std::int64_t>(net.store().parameter_count()) == nb201::parameter_count(layers));
            const std::string path = folder / "state.safetensors";
            state.write(path, dtype, {{"space", "nasbench201"}});
            const StateDict back = StateDict::read(path);
            back.load_into(other, path);
            const StateDict again = StateDict::of(other);
            for (const auto& [name, e] : state.entries()) CHECK(again.at(name).values == e.values);
            const SupernetShape shape = supernet_shape(back, path);
            CHECK(shape.config.classes == 100);
            CHECK(shape.config.channels == 16);
            CHECK(shape.config.cells_per_stage == 2);
            CHECK(shape.style.affine == affine);
        }
}

TEST_CASE("initial weights are PyTorch's law, a function of the seed, the same in both precisions") {
    auto device = make_device("cpu", 1);
    Nb201Supernet a(*device, DType::f64, {}), b(*device, DType::f32, {}), c(*device, DType::f64, {});
    a.initialise(1), b.initialise(1), c.initialise(2);
    const StateDict x = StateDict::of(a), y = StateDict::of(b), z = StateDict::of(c);
    CHECK(a.store().parameter_count() == 1'686'106);
    for (const auto& [name, e] : x.entries()) {
        CAPTURE(name);
        for (std::size_t i = 0; i < e.values.size(); i += 7)
            CHECK(static_cast<float>(e.values[i]) == y.at(name).values[i]);
        if (e.shape.size() < 2 && name != "classifier.bias") continue;
        CHECK(e.values != z.at(name).values);
        const double fan_in =
            name == "classifier.bias" ? 64.0 : static_cast<double>(e.values.size()) / static_cast<double>(e.shape[0]);
        double sum = 0, squares = 0, largest = 0;
        for (double v : e.values) sum += v, squares += v * v, largest = std::max(largest, std::abs(v));
        const double n = static_cast<double>(e.values.size()), bound = 1 / std::sqrt(fan_in);
        CHECK(largest <= bound);
        // Uniform: variance bound^2 / 3; six deviations of the sample's mean and mean square.
        CHECK(std::abs(sum / n) <= 6 * bound / std::sqrt(3 * n));
        CHECK(std::abs(squares / n - bound * bound / 3) <= 6 * bound * bound * std::sqrt(4.0 / 45 / n));
    }
    CHECK(x.at("lastact.0.weight").values == std::vector<double>(64, 1.0));
    CHECK(x.at("cells.5.conv_a.op.2.running_var").values == std::vector<double>(32, 1.0));
}

TEST_CASE("a state dict that is not the network's is refused with the tensor's name") {
    auto device = make_device("cpu", 1);
    Nb201Supernet net(*device, DType::f32, {10, 32, 4, 1});
    net.initialise(1);
    StateDict state = StateDict::of(net);
    state.set("extra", {{1}, {0}});
    expect_error("1 tensors are not the network's", [&] { state.load_into(net, "f"); });
    StateDict bent = StateDict::of(net);
    bent.set("stem.0.weight", {{4, 3, 3, 2}, std::vector<double>(72)});
    expect_error("stem.0.weight", [&] { bent.load_into(net, "f"); });
    expect_error("stem.0.weight", [&] { supernet_shape(StateDict(), "f"); });
    StateDict none;
    none.set("stem.0.weight", {{4, 3, 3, 3}, std::vector<double>(108)});
    none.set("classifier.weight", {{10, 16}, std::vector<double>(160)});
    expect_error("cells.0", [&] { supernet_shape(none, "f"); });
}

TEST_CASE("the angle of two states equals that of the concatenated vectors") {
    auto device = make_device("cpu", 1);
    const nb201::NetConfig config{10, 32, 4, 1};
    Nb201Supernet a(*device, DType::f64, config), b(*device, DType::f64, config);
    a.initialise(1), b.initialise(2);
    const StateDict x = StateDict::of(a), y = StateDict::of(b);
    const Nb201Angle angle(angle_table(supernet_shape(x, "x"), x, y, "x", "y"));
    // |3x3~0|+|1x1~0|none~1|+|none~0|none~1|3x3~2|: one path, 0-2-3, in each of the three cells.
    const auto arch =
        nb201::parse_architecture("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|nor_conv_3x3~2|");
    std::vector<std::string> names{"stem.0.weight",  "stem.1.weight",     "stem.1.bias",    "lastact.0.weight",
                                   "lastact.0.bias", "classifier.weight", "classifier.bias"};
    for (const char* r : {"cells.1.", "cells.3."})
        for (const char* t : {"conv_a.op.1.weight", "conv_a.op.2.weight", "conv_a.op.2.bias", "conv_b.op.1.weight",
                              "conv_b.op.2.weight", "conv_b.op.2.bias", "downsample.1.weight"})
            names.push_back(std::string(r) + t);
    for (const char* c : {"cells.0.", "cells.2.", "cells.4."})
        for (const char* t : {"edges.2<-0.2.op.1.weight", "edges.3<-2.3.op.1.weight"})
            names.push_back(std::string(c) + t);
    long double dot = 0, n0 = 0, n1 = 0;
    for (const std::string& n : names)
        for (std::size_t i = 0; i < x.at(n).values.size(); i++) {
            const long double u = x.at(n).values[i], v = y.at(n).values[i];
            dot += u * v, n0 += u * u, n1 += v * v;
        }
    CHECK(angle.angle(arch) ==
          doctest::Approx(static_cast<double>(std::acos(dot / std::sqrt(n0 * n1)))).epsilon(1e-12));
    StateDict shorter = StateDict::of(a);
    shorter.set("stem.0.weight", {{1}, {0}});
    expect_error("stem.0.weight", [&] { angle_table(supernet_shape(x, "x"), x, shorter, "x", "y"); });
}
