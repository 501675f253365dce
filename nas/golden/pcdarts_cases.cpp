// PC-DARTS: {cifar|imagenet}_K{k}_C{c}_L{l}, mixedop_C{c}_stride{s}, channel_shuffle_C{c}_g{g}.
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "nas/golden/kinds.h"
#include "nas/golden/numbers.h"
#include "nas/golden/search_check.h"
#include "nas/golden/tensors.h"
#include "nas/space/darts_derive.h"
#include "nas/space/darts_layers.h"
#include "ops/reference.h"

namespace nascent::golden {
namespace {

using nlohmann::json;

/// 0.5 sin(1.1 k) of normal, 0.5 cos(0.9 k) of reduction cells.
std::vector<double> fill_betas(DartsNet& net, bool reduction) {
    std::vector<double> betas;
    for (int k = 0; k < darts::edge_count(net.net().search.nodes); k++)
        betas.push_back(reduction ? 0.5 * std::cos(0.9 * k) : 0.5 * std::sin(1.1 * k));
    net.set(reduction ? "betas_reduce" : "betas_normal", betas);
    return betas;
}

/// Pictures of 32 x 32 or, with the stems of ImageNet, of 64 x 64. The published network for ImageNet moves its running
/// statistics twice a forward, so not every entry has them.
void check_search(const std::string& data, int partial, int channels, int layers, Device& device, const json& expected,
                  Report& report) {
    darts::NetConfig config = darts::search_config(data);
    config.channels = channels;
    config.layers = layers;
    config.classes = 10;
    if (data == "imagenet") config.input_size = 64;
    DartsNet net(device, DType::f64, darts::search_net(config, {.partial = partial, .edge_weights = true}));
    fill_net(net);
    std::vector<double> weights[2];
    for (bool reduction : {false, true}) {
        const std::string end = reduction ? "reduce" : "normal";
        const std::vector<double> betas = fill_betas(net, reduction);
        report.compare("edge_weights_" + end, darts::softmax_edges(betas), expected.at("edge_weights_" + end));
        weights[reduction] = darts::weigh_edges(darts::softmax_rows(net.get("alphas_" + end)), betas);
    }
    check_training(net, device, expected, report);
    if (expected.contains("running"))
        for (const auto& [name, value] : expected.at("running").items())
            report.compare("running." + name, net.get(name), value);
    report.compare_text("genotype", to_string(darts::genotype_of_weights(weights[0], weights[1])),
                        expected.at("genotype"));
}

void check_shuffle(int channels, int groups, Device& device, const json& expected, Report& report) {
    Arena arena(device);
    ExecutionScope execution(arena);
    std::vector<double> numbers;
    for (int i = 0; i < channels; i++) numbers.push_back(i);
    const Tensor y = channel_shuffle(to_device(numbers, 1, channels, 1, 1), groups);
    report.compare("order", from_device(y), expected);
}

/// One mixed op, K = 4, on pictures of the digest's size: its weights are the first row of the files' alphas.
void check_mixed_op(int channels, int stride, Device& device, const json& expected, Report& report) {
    constexpr int kPartial = 4;
    const auto shape = expected.at("shape").get<std::vector<int>>();
    NASCENT_CHECK(shape.size() == 4 && shape[1] == channels && channels % kPartial == 0, data,
                  "the digest's shape has {} extents, expected (n, {}, h, w)", shape.size(), channels);
    const int n = shape[0], h = shape[2] * stride, w = shape[3] * stride, seen = channels / kPartial;
    Arena arena(device);
    ExecutionScope execution(arena);
    const Tensor x = to_device(input(static_cast<std::size_t>(n) * channels * h * w, 99), n, channels, h, w);
    const Tensor read = slice_channels(x, 0, seen), around = slice_channels(x, seen, channels - seen);
    std::vector<double> alphas;
    for (int op = 0; op < darts::kPrimitives; op++) alphas.push_back(0.3 * std::sin(1.7 * op));
    const std::vector<double> weights = darts::softmax_rows(alphas);
    Tensor sum = zero(read, stride);
    std::size_t index = 0;
    for (int op = 0; op < darts::kPrimitives; op++) {
        darts::Net layers;
        darts::LayerWriter writer(layers.layers);
        writer.at({.part = darts::Part::edge, .cell = 0, .place = 0, .op = op, .affine = false});
        writer.op("op", static_cast<darts::Op>(op), {seen, {h, w}}, stride, true);
        DartsNet net(device, DType::f64, layers);
        for (const darts::StateEntry& e : darts::state_entries(net.net()))
            if (!e.int64) net.set(e.name, fill(e.name, e.shape, index++));
        const bool none = static_cast<darts::Op>(op) == darts::Op::none;
        const Tensor y = !net.net().layers.empty() ? net.chain(read, true) : none ? zero(read, stride) : read;
        sum = add(sum, weighted(y, constant(weights[static_cast<std::size_t>(op)]), 0));
    }
    const Tensor parts[] = {sum, stride == 1 ? around : max_pool(around, 2, 2, 0)};
    report.compare("y", from_device(channel_shuffle(concat(parts), kPartial)), expected);
}

}  // namespace

std::optional<Check> pcdarts_check(const std::string& key) {
    std::smatch m;
    if (std::regex_match(key, m, std::regex("(cifar|imagenet)_K([0-9]+)_C([0-9]+)_L([0-9]+)"))) {
        const std::string data = m[1] == "cifar" ? "cifar10" : "imagenet";
        return [data, k = number(m[2]), c = number(m[3]), l = number(m[4])](Device& d, const json& e, Report& r) {
            check_search(data, k, c, l, d, e, r);
        };
    }
    if (std::regex_match(key, m, std::regex("mixedop_C([0-9]+)_stride([12])")))
        return [c = number(m[1]), stride = number(m[2])](Device& d, const json& e, Report& r) {
            check_mixed_op(c, stride, d, e, r);
        };
    if (std::regex_match(key, m, std::regex("channel_shuffle_C([0-9]+)_g([0-9]+)")))
        return
            [c = number(m[1]), g = number(m[2])](Device& d, const json& e, Report& r) { check_shuffle(c, g, d, e, r); };
    return std::nullopt;
}

}  // namespace nascent::golden
