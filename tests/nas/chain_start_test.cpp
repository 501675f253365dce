// How networks of chains start: the deviations that published code gives, by kind of layer.
#include <doctest/doctest.h>

#include "tests/nas/chain_networks.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

struct Law {
    enum { constant, normal, uniform } kind;
    double scale;
};

/// Mean, deviation and fourth moment within five standard errors of the law's.
void check_law(const std::vector<double>& v, const Law& law) {
    if (law.kind == Law::constant) {
        CHECK(largest_difference(v, std::vector<double>(v.size(), law.scale)) == 0);
        return;
    }
    const double n = static_cast<double>(v.size()),
                 s = law.kind == Law::normal ? law.scale : law.scale / std::sqrt(3.0);
    // Moments of x / s: 1, 3, 105 (second, fourth, eighth) of a normal one; 1, 9/5, 9 of a uniform one.
    const double fourth = law.kind == Law::normal ? 3 : 1.8, eighth = law.kind == Law::normal ? 105 : 9;
    double m1 = 0, m2 = 0, m4 = 0;
    for (double x : v) {
        const double z = x / s;
        m1 += z / n, m2 += z * z / n, m4 += z * z * z * z / n;
        if (law.kind == Law::uniform) CHECK(std::fabs(x) <= law.scale);
    }
    CHECK(std::fabs(m1) < 5 / std::sqrt(n));
    CHECK(std::fabs(m2 - 1) < 5 * std::sqrt((fourth - 1) / n));
    CHECK(std::fabs(m4 - fourth) < 5 * std::sqrt((eighth - fourth * fourth) / n));
}

}  // namespace

TEST_CASE("chains start as published code starts them") {
    const auto device = make_device("cpu");
    struct Expected {
        const char* space;
        std::map<std::string, Law> laws;  // by parameter
    };
    // Depthwise weights of one operator are few: the fourth moment's error is then wide, the deviation still told apart
    // from 0.01 or 1 / 32.
    const Expected all[] = {{"shufflenet",
                             {{"first_conv.0.weight", {Law::normal, 0.01}},
                              {"features.0.0.branch_main.0.weight", {Law::normal, 1.0 / 16}},
                              {"features.0.0.branch_main.3.weight", {Law::normal, 1}},
                              {"features.16.2.branch_main.3.weight", {Law::normal, 1}},
                              {"features.16.3.branch_main.5.weight", {Law::normal, 1}},
                              {"features.16.3.branch_main.7.weight", {Law::normal, 1.0 / 320}},
                              {"conv_last.0.weight", {Law::normal, 1.0 / 640}},
                              {"classifier.0.weight", {Law::normal, 0.01}}}},
                            {"shufflenet-mmrazor",
                             {{"architecture.backbone.conv1.conv.weight", {Law::normal, 0.01}},
                              {"architecture.backbone.conv1.bn.weight", {Law::constant, 1}},
                              {"architecture.backbone.conv1.bn.bias", {Law::constant, 1e-4}},
                              {"architecture.head.fc.weight", {Law::normal, 0.01}},
                              {"architecture.head.fc.bias", {Law::constant, 0}}}},
                            {"mobilenet",
                             {{"conv_bn.0.weight", {Law::normal, std::sqrt(2.0 / (9 * 40))}},
                              {"conv_bn.1.weight", {Law::constant, 1}},
                              {"conv_bn.1.bias", {Law::constant, 0}},
                              {"features.0._ops.0.conv.0.weight", {Law::normal, std::sqrt(2.0 / 72)}},
                              {"features.16._ops.5.conv.3.weight", {Law::normal, std::sqrt(2.0 / (49 * 768))}},
                              {"classifier.0.weight", {Law::uniform, 1 / std::sqrt(1728.0)}},
                              {"classifier.0.bias", {Law::uniform, 1 / std::sqrt(1728.0)}}}},
                            {"mobilenet-mmrazor",
                             {{"architecture.backbone.conv1.conv.weight", {Law::normal, std::sqrt(2.0 / (9 * 40))}},
                              {"architecture.head.fc.weight", {Law::normal, 0.01}},
                              {"architecture.head.fc.bias", {Law::constant, 0}}}}};
    for (const Expected& e : all) {
        CAPTURE(e.space);
        const chain::Space space = chain::space(e.space);
        ChainNet net(*device, DType::f32, chain::supernet(space));
        initialise(net, 17, published_start(space));
        for (const auto& [name, law] : e.laws) {
            CAPTURE(name);
            // Constants are as float32 has them.
            check_law(net.get(name), {law.kind, law.kind == Law::constant ? static_cast<float>(law.scale) : law.scale});
        }
        for (const Parameter& p : net.store().parameters())
            if (p.shape.rank() > 1) REQUIRE(largest_of(net.get(p.name)) > 0);
        const std::string some = net.store().parameters()[0].name;
        const std::vector<double> first = net.get(some);
        initialise(net, 18, published_start(space));
        CHECK(net.get(some) != first);
        initialise(net, 17, published_start(space));
        CHECK(net.get(some) == first);
    }
}
