#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "engine/autograd/execution.h"
#include "nas/golden/cases.h"
#include "nas/space/darts_derive.h"
#include "nas/space/darts_genotypes.h"
#include "nas/supernet/darts.h"
#include "ops/reference.h"

namespace nascent::golden {
namespace {

using nlohmann::json;

int number(const std::string& text) {
    NASCENT_CHECK(text.size() <= 6, data, "{} is too large", text);
    return std::stoi(text);
}

/// (n, c, h, w) as PyTorch has it to NHWC on the device, and back.
Tensor to_device(const std::vector<double>& nchw, int n, int c, int h, int w) {
    Tensor t = empty({n, h, w, c}, DType::f64);
    std::vector<double> nhwc(nchw.size());
    std::size_t i = 0;
    for (int in = 0; in < n; in++)
        for (int ic = 0; ic < c; ic++)
            for (int p = 0; p < h * w; p++) nhwc[(static_cast<std::size_t>(in) * h * w + p) * c + ic] = nchw[i++];
    t.device->copy_in(t.data, nhwc.data(), t.bytes());
    return t;
}
std::vector<double> from_device(const Tensor& t) {
    std::vector<double> host(t.size());
    t.device->copy_out(host.data(), t.data, t.bytes());
    if (t.shape.rank() != 4) return host;
    const auto n = static_cast<std::size_t>(t.shape[0]), c = static_cast<std::size_t>(t.shape[3]),
               pixels = static_cast<std::size_t>(t.shape[1] * t.shape[2]);
    std::vector<double> nchw(host.size());
    for (std::size_t in = 0; in < n; in++)
        for (std::size_t p = 0; p < pixels; p++)
            for (std::size_t ic = 0; ic < c; ic++) nchw[(in * c + ic) * pixels + p] = host[(in * pixels + p) * c + ic];
    return nchw;
}

void fill_net(DartsNet& net) {
    std::size_t index = 0;
    for (const darts::StateEntry& e : darts::state_entries(net.net()))
        if (!e.int64) net.set(e.name, fill(e.name, e.shape, index++));
    // sin of the element's number, row by row.
    for (bool reduction : {false, true}) {
        if (net.alphas(reduction) < 0) continue;
        std::vector<double> a(net.store().parameters()[static_cast<std::size_t>(net.alphas(reduction))].shape.size());
        for (std::size_t e = 0; e < a.size(); e++)
            a[e] = 0.3 * std::sin((reduction ? 2.3 : 1.7) * static_cast<double>(e) + (reduction ? 1 : 0));
        net.set(reduction ? "alphas_reduce" : "alphas_normal", a);
    }
}

Tensor labels_of(int n, int classes) {
    Tensor t = empty({n}, DType::i32);
    std::vector<std::int32_t> host;
    for (int i = 0; i < n; i++) host.push_back((3 * i + 1) % classes);
    t.device->copy_in(t.data, host.data(), t.bytes());
    return t;
}

double scalar(const Tensor& t) { return from_device(t).at(0); }

Tensor constant(double value) {
    Tensor t = empty({1}, DType::f64);
    t.device->copy_in(t.data, &value, sizeof(value));
    return t;
}

/// The norm of the gradients of all parameters but the alphas.
double weight_norm(const DartsNet& net, const Tape& tape) {
    double squares = 0;
    for (const Parameter& p : net.store().parameters()) {
        if (p.name.starts_with("alphas")) continue;
        Tensor like{p.shape, DType::f64, nullptr, nullptr, ValueId::parameter(net.store().find(p.name))};
        if (const Tensor g = tape.gradient(like); g.defined())
            for (double v : from_device(
                     g.shape.rank() == 4 ? Tensor{{static_cast<std::int64_t>(g.size())}, g.dtype, g.device, g.data, {}}
                                         : g))
                squares += v * v;
    }
    return std::sqrt(squares);
}

Tensor gradient(const DartsNet& net, const Tape& tape, const std::string& name) {
    const int p = net.store().find(name);
    NASCENT_CHECK(p >= 0, data, "the network has no parameter '{}'", name);
    const Tensor g = tape.gradient({net.store().parameters()[static_cast<std::size_t>(p)].shape, DType::f64, nullptr,
                                    nullptr, ValueId::parameter(p)});
    NASCENT_CHECK(g.defined(), data, "'{}' has no gradient", name);
    return g;
}

void check_search(int channels, int layers, Device& device, const json& expected, Report& report) {
    darts::NetConfig config = darts::search_config("cifar10");
    config.channels = channels;
    config.layers = layers;
    DartsNet net(device, DType::f64, darts::search_net(config));
    fill_net(net);
    const int n = static_cast<int>(expected.at("logits").size()) / config.classes, s = config.input_size;
    Arena arena(device);
    ExecutionScope execution(arena);
    const Tensor x = to_device(input(static_cast<std::size_t>(n) * 3 * s * s, 99), n, 3, s, s);
    // Before training moves the running statistics.
    report.compare("eval_logits", from_device(net.forward(x, false).logits), expected.at("eval_logits"));
    Tape tape(arena, &net.store());
    TapeScope recording(&tape);
    const auto output = net.forward(x, true);
    const Tensor loss = cross_entropy(output.logits, labels_of(n, config.classes));
    tape.backward(loss, constant(1));
    report.compare("logits", from_device(output.logits), expected.at("logits"));
    report.compare("loss", scalar(loss), expected.at("loss"), 0);
    report.compare("wgrad_norm", weight_norm(net, tape), expected.at("wgrad_norm"), 0);
    report.compare("dalpha_normal", from_device(gradient(net, tape, "alphas_normal")), expected.at("dalpha_normal"));
    report.compare("dalpha_reduce", from_device(gradient(net, tape, "alphas_reduce")), expected.at("dalpha_reduce"));
    report.compare_text("genotype",
                        to_string(darts::derive_genotype(darts::softmax_rows(net.get("alphas_normal")),
                                                         darts::softmax_rows(net.get("alphas_reduce")))),
                        expected.at("genotype"));
    report.compare("nparams", static_cast<double>(darts::parameter_count(net.net())), expected.at("nparams"), 0);
}

void check_evaluation(const darts::NetConfig& config, const std::string& genotype, int n, Device& device,
                      const json& expected, Report& report) {
    DartsNet net(device, DType::f64, darts::evaluation_net(config, darts::published_genotype(genotype)));
    fill_net(net);
    const int s = config.input_size;
    Arena arena(device);
    ExecutionScope execution(arena);
    const Tensor x = to_device(input(static_cast<std::size_t>(n) * 3 * s * s, 99), n, 3, s, s);
    const Tensor labels = labels_of(n, config.classes);
    {
        const Tensor logits = net.forward(x, false).logits;
        report.compare("eval_logits", from_device(logits), expected.at("eval_logits"));
        report.compare("eval_ce", scalar(cross_entropy(logits, labels)), expected.at("eval_ce"), 0);
    }
    Tape tape(arena, &net.store());
    TapeScope recording(&tape);
    const auto output = net.forward(x, true);
    const Tensor ce = cross_entropy(output.logits, labels), auxiliary = cross_entropy(output.auxiliary, labels);
    const Tensor loss = add(ce, weighted(auxiliary, constant(0.4), 0));
    tape.backward(loss, constant(1));
    report.compare("train_logits", from_device(output.logits), expected.at("train_logits"));
    report.compare("train_aux", from_device(output.auxiliary), expected.at("train_aux"));
    report.compare("ce", scalar(ce), expected.at("ce"), 0);
    report.compare("ce_aux", scalar(auxiliary), expected.at("ce_aux"), 0);
    report.compare("loss", scalar(loss), expected.at("loss"), 0);
    report.compare("grad_norm", weight_norm(net, tape), expected.at("grad_norm"), 0);
    for (const auto& [name, value] : expected.at("grads").items())
        report.compare("grads." + name, net.torch_order(name, gradient(net, tape, name)), value);
    report.compare("nparams", static_cast<double>(darts::parameter_count(net.net())), expected.at("nparams"), 0);
}

}  // namespace

std::optional<Check> check_of(const std::string& key) {
    std::smatch m;
    if (std::regex_match(key, m, std::regex("search_C([0-9]+)_L([0-9]+)")))
        return
            [c = number(m[1]), l = number(m[2])](Device& d, const json& e, Report& r) { check_search(c, l, d, e, r); };
    if (std::regex_match(
            key, m, std::regex("evalnet_(cifar|imagenet)_(\\w+)_C([0-9]+)_L([0-9]+)_N([0-9]+)_([0-9]+)(x[0-9]+)?"))) {
        darts::NetConfig config = darts::evaluation_config(m[1] == "cifar" ? "cifar10" : "imagenet");
        config.classes = 10;
        config.channels = number(m[3]);
        config.layers = number(m[4]);
        config.input_size = number(m[6]);
        config.auxiliary = true;
        return [config, genotype = m[2].str(), n = number(m[5])](Device& d, const json& e, Report& r) {
            check_evaluation(config, genotype, n, d, e, r);
        };
    }
    // Kinds that later work computes.
    static const std::regex later(
        "ops|architect_.*|adam_first_step.*|lr|cifar_K.*|imagenet_K.*|mixedop_.*|channel_shuffle_.*|dirichlet.*|drnas_."
        "*|nb201.*|evnas.*");
    if (std::regex_match(key, later)) return Check{};
    return std::nullopt;
}

}  // namespace nascent::golden
