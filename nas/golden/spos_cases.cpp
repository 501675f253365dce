// Chains of blocks: {spos|anglenas}_{supernet|subnet}_{NAME}, NAME an architecture of the published tables or its
// numbers.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "nas/golden/kinds.h"
#include "nas/golden/tensors.h"
#include "nas/space/chain_published.h"
#include "nas/supernet/chain.h"
#include "ops/reference.h"

namespace nascent::golden {
namespace {

using nlohmann::json;

constexpr int kPictures = 4, kSide = 224;

/// Architectures that the facts list and nobody published.
struct Listed {
    std::string_view name, text;
};
constexpr Listed kShuffleNet[] = {
    {"r00", "0 2 3 2 3 3 0 0 0 0 0 3 1 2 3 3 3 0 0 1"},   {"r01", "1 2 0 3 0 1 3 0 2 0 0 0 1 1 3 3 0 3 3 0"},
    {"r02", "2 3 3 0 3 0 2 2 3 3 3 2 2 1 3 1 3 1 2 1"},   {"r03", "0 1 0 1 1 0 0 2 2 3 1 2 2 0 0 2 3 2 0 0"},
    {"r04", "1 2 3 0 2 3 2 3 2 3 2 2 3 3 0 2 1 2 3 1"},   {"r05", "1 3 3 1 2 0 0 3 2 2 3 3 2 0 2 0 0 0 2 3"},
    {"all_0", "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"}, {"all_1", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"all_2", "2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2"}, {"all_3", "3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3"}};
constexpr Listed kMobileNet[] = {
    {"all_0", "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"},
    {"all_1", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"all_2", "2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2"},
    {"all_3", "3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3"},
    {"all_4", "4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4"},
    {"all_5", "5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5"},
    {"identity_wherever_legal", "0 -1 -1 -1 0 -1 -1 -1 0 -1 -1 -1 0 -1 -1 -1 0 -1 -1 -1 0"}};

/// A listed or published name, or the numbers with underscores between them. Throws Error(data) for none of these.
chain::Architecture architecture(const chain::Space& space, const std::string& name) {
    const std::span<const Listed> listed =
        space.family == chain::Family::shufflenet ? std::span<const Listed>(kShuffleNet) : kMobileNet;
    for (const Listed& l : listed)
        if (l.name == name) return chain::parse_architecture(space, l.text);
    try {
        std::string text = name;
        if (!std::regex_match(name, std::regex("-?[0-9]+(_-?[0-9]+)+"))) return published_architecture(space, name);
        for (char& c : text) c = c == '_' ? ' ' : c;
        return chain::parse_architecture(space, text);
    } catch (const Error& e) {
        fail(ErrorKind::data, "{}", e.what());
    }
}

void fill_net(ChainNet& net) {
    std::uint64_t index = 0;
    for (const chain::StateEntry& e : chain::state_entries(net.net().layers)) {
        if (!e.trained) continue;
        std::size_t count = 1;
        for (std::int64_t extent : e.shape) count *= static_cast<std::size_t>(extent);
        std::vector<double> values(count);
        for (std::size_t i = 0; i < count; i++) {
            const double v = hashed(i, index);
            if (e.shape.size() > 1)
                values[i] = v * std::sqrt(3.0 * static_cast<double>(e.shape[0]) / static_cast<double>(count));
            else
                values[i] = e.name.ends_with(".weight") ? 1 + 0.1 * v : 0.1 * v;
        }
        net.set(e.name, values);
        index++;
    }
}

/// Rows of the first numbers of each picture's logits, the largest, and their norm.
void compare_logits(const std::string& what, const Tensor& logits, const json& expected, Report& report) {
    const std::vector<double> values = from_device(logits);
    double squares = 0;
    for (double v : values) squares += v * v;
    const std::size_t classes = values.size() / kPictures;
    const double rms = std::sqrt(squares / static_cast<double>(values.size()));
    report.compare(what + "_logits_l2", std::sqrt(squares), expected.at(what + "_logits_l2"), 0);
    const json& rows = expected.at(what + "_logits_first5");
    for (std::size_t p = 0; p < rows.size(); p++)
        for (std::size_t c = 0; c < rows[p].size(); c++)
            report.compare(fmt::format("{}_logits_first5[{}][{}]", what, p, c), values.at(p * classes + c),
                           rows[p][c].get<double>(), rms);
    if (expected.contains(what + "_logits_sum")) {
        double sum = 0;
        for (double v : values) sum += v;
        report.compare(what + "_logits_sum", sum, expected.at(what + "_logits_sum"), std::sqrt(squares));
    }
    if (!expected.contains(what + "_argmax")) return;
    for (std::size_t p = 0; p < expected.at(what + "_argmax").size(); p++) {
        const auto row = values.begin() + static_cast<std::ptrdiff_t>(p * classes);
        const auto largest = std::max_element(row, row + static_cast<std::ptrdiff_t>(classes)) - row;
        report.compare(fmt::format("{}_argmax[{}]", what, p), static_cast<double>(largest),
                       expected.at(what + "_argmax")[p].get<double>(), 0);
    }
}

void compare_gradients(const ChainNet& net, const Tape& tape, const json& expected, Report& report) {
    double total = 0;
    int count = 0;
    std::map<std::string, double> squares;
    for (std::size_t i = 0; i < net.store().parameters().size(); i++) {
        Tensor like = net.store().raw(static_cast<int>(i));
        like.id = ValueId::parameter(static_cast<int>(i));
        const Tensor g = tape.gradient(like);
        if (!g.defined()) continue;
        double& sum = squares[net.store().parameters()[i].name];
        for (double v : from_device(g)) sum += v * v;
        total += sum;
        count++;
    }
    report.compare("n_params_with_grad", count, expected.at("n_params_with_grad"), 0);
    report.compare("total_grad_l2", std::sqrt(total), expected.at("total_grad_l2"), 0);
    for (const auto& [name, value] : expected.at("grad_l2").items()) {
        NASCENT_CHECK(squares.contains(name), data, "'{}' has no gradient", name);
        report.compare("grad_l2." + name, std::sqrt(squares[name]), value, 0);
    }
}

/// After one step from 0 and 1 with momentum 0.1. A mean is right up to the rounding of the numbers that it is of:
/// behind a norm without affine and a 1x1 convolution it is 0 but for that, and a tenth of their deviation is its
/// scale.
void compare_running(const ChainNet& net, const json& expected, Report& report) {
    auto rms_of = [](const std::vector<double>& values) {
        double squares = 0;
        for (double v : values) squares += v * v;
        return std::sqrt(squares / static_cast<double>(values.size()));
    };
    for (const auto& [module, statistics] : expected.items()) {
        const std::vector<double> means = net.get(module + ".running_mean"), vars = net.get(module + ".running_var");
        double variance = 0;
        for (double v : vars) variance += (v - 0.9) / 0.1 / static_cast<double>(vars.size());
        const double deviation = 0.1 * std::sqrt(std::max(0.0, variance));
        for (std::size_t i = 0; i < statistics.at("mean3").size(); i++)
            report.compare(fmt::format("running.{}.mean3[{}]", module, i), means.at(i),
                           statistics.at("mean3")[i].get<double>(), std::max(rms_of(means), deviation));
        for (std::size_t i = 0; i < statistics.at("var3").size(); i++)
            report.compare(fmt::format("running.{}.var3[{}]", module, i), vars.at(i),
                           statistics.at("var3")[i].get<double>(), rms_of(vars));
    }
}

/// A training step's forward and backward without dropout, then an evaluation with the statistics that it left.
void check_chain(const chain::Net& description, const chain::Architecture& path, Device& device, const json& expected,
                 Report& report) {
    ChainNet net(device, DType::f64, description);
    fill_net(net);
    Arena arena(device);
    ExecutionScope execution(arena);
    std::vector<double> pixels(std::size_t{kPictures} * 3 * kSide * kSide);
    for (std::size_t i = 0; i < pixels.size(); i++) pixels[i] = 127.5 * (hashed(i, 1000003) + 1);
    const Tensor x = to_device(pixels, kPictures, 3, kSide, kSide);
    const std::int32_t classes[kPictures] = {3, 977, 500, 0};
    const Tensor labels = empty({kPictures}, DType::i32);
    labels.device->copy_in(labels.data, classes, sizeof(classes));
    {
        Tape tape(arena, &net.store());
        TapeScope recording(&tape);
        const Tensor logits = net.forward(x, path, {});
        const Tensor loss = cross_entropy(logits, labels, 0.1);
        tape.backward(loss, constant(1));
        compare_logits("train", logits, expected, report);
        report.compare("loss_ls01", scalar(loss), expected.at("loss_ls01"), 0);
        compare_gradients(net, tape, expected, report);
    }
    compare_running(net, expected.at("running_after_1_step"), report);
    compare_logits("eval", net.forward(x, path, {.norms = NormMode::running}), expected, report);
}

}  // namespace

std::optional<Check> spos_check(const std::string& key) {
    std::smatch m;
    if (!std::regex_match(key, m, std::regex("(spos|anglenas)_(supernet|subnet)_(.+)"))) return std::nullopt;
    const std::string name = m[3];
    const bool mobile = m[1] == "anglenas", subnet = m[2] == "subnet";
    const chain::Space plain = chain::space(mobile ? "mobilenet" : "shufflenet");
    // Only subnets have channel scales in the original: its supernet runs the operators.
    chain::Space space = plain;
    bool scaled = false;
    for (const chain::Published& p : chain::published_architectures())
        scaled = scaled || (!mobile && p.space == "shufflenet-channels" && (p.name == name || p.also == name));
    if (scaled) space = chain::space("shufflenet-channels");
    chain::Architecture path = architecture(space, name);
    if (!subnet) path.scales.clear();
    const chain::Net net = subnet ? chain::subnet(space, path) : chain::supernet(plain);
    return [net, path](Device& d, const json& e, Report& r) { check_chain(net, path, d, e, r); };
}

}  // namespace nascent::golden
