#include "nas/golden/search_check.h"

#include <nlohmann/json.hpp>

#include "nas/golden/tensors.h"
#include "ops/reference.h"

namespace nascent::golden {

void check_training(DartsNet& net, Device& device, const nlohmann::json& expected, Report& report,
                    const std::function<void(const Tensor& x)>& before) {
    const darts::NetConfig& config = net.net().config;
    const int n = static_cast<int>(expected.at("logits").size()) / config.classes, s = config.input_size;
    Arena arena(device);
    ExecutionScope execution(arena);
    const Tensor x = to_device(input(static_cast<std::size_t>(n) * 3 * s * s, 99), n, 3, s, s);
    if (before) before(x);
    Tape tape(arena, &net.store());
    TapeScope recording(&tape);
    const auto output = net.forward(x, true);
    const Tensor loss = cross_entropy(output.logits, labels_of(n, config.classes));
    tape.backward(loss, constant(1));
    report.compare("logits", from_device(output.logits), expected.at("logits"));
    report.compare("loss", scalar(loss), expected.at("loss"), 0);
    report.compare("wgrad_norm", weight_norm(net, tape), expected.at("wgrad_norm"), 0);
    for (const char* end : {"normal", "reduce"}) {
        auto compare = [&](const std::string& name, const std::string& parameter) {
            report.compare(name + end, from_device(gradient(net, tape, parameter + end)), expected.at(name + end));
        };
        compare("dalpha_", "alphas_");
        if (net.net().search.edge_weights) compare("dbeta_", "betas_");
    }
    report.compare("nparams", static_cast<double>(darts::parameter_count(net.net())), expected.at("nparams"), 0);
}

}  // namespace nascent::golden
