// Whole networks of the DARTS space: search_C{c}_L{l}, evalnet_{cifar|imagenet}_{GENOTYPE}_C{c}_L{l}_N{n}_{size}.
#include <nlohmann/json.hpp>
#include <regex>

#include "nas/golden/kinds.h"
#include "nas/golden/search_check.h"
#include "nas/golden/tensors.h"
#include "nas/space/darts_derive.h"
#include "nas/space/darts_genotypes.h"
#include "ops/reference.h"

namespace nascent::golden {
namespace {

using nlohmann::json;

void check_search(int channels, int layers, Device& device, const json& expected, Report& report) {
    darts::NetConfig config = darts::search_config("cifar10");
    config.channels = channels;
    config.layers = layers;
    DartsNet net(device, DType::f64, darts::search_net(config));
    fill_net(net);
    check_training(net, device, expected, report, [&](const Tensor& x) {
        // Before training moves the running statistics.
        report.compare("eval_logits", from_device(net.forward(x, false).logits), expected.at("eval_logits"));
    });
    report.compare_text("genotype",
                        to_string(darts::derive_genotype(darts::softmax_rows(net.get("alphas_normal")),
                                                         darts::softmax_rows(net.get("alphas_reduce")))),
                        expected.at("genotype"));
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

std::optional<Check> network_check(const std::string& key) {
    std::smatch m;
    if (std::regex_match(key, m, std::regex("search_C([0-9]+)_L([0-9]+)")))
        return
            [c = number(m[1]), l = number(m[2])](Device& d, const json& e, Report& r) { check_search(c, l, d, e, r); };
    if (!std::regex_match(
            key, m, std::regex("evalnet_(cifar|imagenet)_(\\w+)_C([0-9]+)_L([0-9]+)_N([0-9]+)_([0-9]+)(x[0-9]+)?")))
        return std::nullopt;
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

}  // namespace nascent::golden
