// dirichlet: gradients of Dirichlet draws in 60 digits; drnas_effective_lr: learning rates that DrNAS's code applies;
// nb201: the benchmark's list and costs.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "nas/algo/schedules.h"
#include "nas/golden/kinds.h"
#include "nas/golden/tensors.h"
#include "nas/metric/cost.h"
#include "ops/constants.h"
#include "ops/dirichlet.h"

namespace nascent::golden {
namespace {

using nlohmann::json;
using Numbers = std::vector<double>;

/// The alphas of given concentrations, on a tape.
struct Row {
    Arena arena;
    ExecutionScope execution;
    Tape tape;
    TapeScope recording;
    Numbers alphas;
    Tensor on_tape;
    Row(Device& device, const Numbers& concentrations)
        : arena(device), execution(arena), tape(arena, nullptr), recording(&tape) {
        for (double c : concentrations) alphas.push_back(c > 1 ? c - 1 : std::log(c));
        on_tape = constants({1, static_cast<std::int64_t>(alphas.size())}, DType::f64, alphas);
        tape.watch(on_tape);
    }
    /// By the concentrations, of the last value on the tape.
    Numbers gradient(const Tensor& y, const Numbers& dy) {
        tape.backward(y, constants(y.shape, DType::f64, dy));
        Numbers g = numbers_of(tape.gradient(on_tape));
        for (std::size_t i = 0; i < g.size(); i++)
            g[i] *= std::exp(std::max(0.0, -alphas[i]));  // slope 1 or exp(alpha)
        return g;
    }
};

void check_draws(Device& device, const json& expected, Report& report) {
    for (const json& e : expected) {
        const Numbers c = e.at("alpha").get<Numbers>(), x = e.at("x").get<Numbers>(), v = e.at("v").get<Numbers>();
        NASCENT_CHECK(x.size() == c.size() && v.size() == c.size(), data, "dirichlet_vjp: rows of different lengths");
        Numbers drawn = x;
        for (double one : x) drawn.push_back(1 - one);
        drawn.insert(drawn.end(), c.begin(), c.end());
        Row row(device, c);
        const auto n = static_cast<std::int64_t>(c.size());
        const Tensor weights = dirichlet(row.on_tape, constants({3, 1, n}, DType::f64, drawn));
        report.compare("dirichlet_vjp.x", numbers_of(weights), e.at("x"));
        report.compare("dirichlet_vjp.dL_dalpha", row.gradient(weights, v), e.at("dL_dalpha"));
    }
}

void check_dirichlet(Device& device, const json& all, Report& report) {
    // gamma_dz_da is what a draw by gamma variables would need; the gradients here are the Dirichlet distribution's
    // own.
    for (const json& e : all.at("beta_g").at("rows")) {
        const double a = e.at(0), b = e.at(1), x = e.at(2);
        report.compare("beta_g", dirichlet_speed(a, b, x, 1 - x), e.at(3).get<double>(), 0);
    }
    for (const json& e : all.at("quantile")) {
        const double a = e.at("a"), b = e.at("b"), x = e.at("x");
        report.compare("quantile.dx_da", dirichlet_speed(a, b, x, 1 - x) * (1 - x), e.at("dx_da").get<double>(), 0);
        report.compare("quantile.dx_db", -dirichlet_speed(b, a, 1 - x, x) * x, e.at("dx_db").get<double>(), 0);
    }
    check_draws(device, all.at("dirichlet_vjp"), report);
    for (const json& e : all.at("kl_to_ones")) {
        Row row(device, e.at("alpha").get<Numbers>());
        const Tensor y = dirichlet_kl(row.on_tape, 1);
        report.compare("kl_to_ones", numbers_of(y)[0], e.at("kl_to_ones").get<double>(), 1e-5);
        report.compare("kl_to_ones.grad", row.gradient(y, {1}), e.at("grad"));
    }
    for (const json& e : all.at("digamma")) {
        report.compare("digamma", digamma(e.at(0)), e.at(1).get<double>(), 0);
        report.compare("trigamma", trigamma(e.at(0)), e.at(2).get<double>(), 0);
    }
}

void check_rates(const json& all, Report& report) {
    struct Run {
        const char* name;
        double lr, lr_min;
        int epochs, warm_up;
    };
    for (const auto& [name, lr, lr_min, epochs, warm_up] : {Run{"201_progressive", 0.025, 0.001, 100, 0},
                                                            {"darts_space_cifar10", 0.1, 0, 50, 0},
                                                            {"darts_space_imagenet", 0.5, 0, 50, 5}}) {
        Numbers rates;
        for (int e = 0; e < epochs; e++) {
            const int stage = 2 * e >= epochs ? epochs / 2 : warm_up > 0 ? warm_up - 1 : 0;
            rates.push_back(e < warm_up ? lr * (e + 1) / warm_up : resumed_cosine_lr(lr, lr_min, epochs, stage, e));
        }
        report.compare(name, rates, all.at(name));
    }
}

void check_benchmark(const json& all, Report& report) {
    for (std::size_t i = 0; i < nb201::kOps; i++)
        report.compare_text("ops", std::string(nb201::kOpNames[i]), all.at("ops").at(i).get<std::string>());
    report.compare("count", nb201::kArchitectures, all.at("count").get<double>(), 0);
    auto text = [](int index) { return to_string(nb201::from_official_index(index)); };
    for (int i = 0; const json& e : all.at("first20")) report.compare_text("first20", text(i++), e.get<std::string>());
    for (const auto& [index, e] : all.at("spot").items())
        report.compare_text("spot " + index, text(number(index)), e.get<std::string>());
    std::map<std::int64_t, int> histogram;
    const json &params = all.at("cost_linear_model").at("params"), &mflops = all.at("cost_linear_model").at("mflops");
    for (int i = 0; i < nb201::kArchitectures; i++) {
        const nb201::Architecture arch = nb201::Architecture::from_id(i);
        histogram[cost_of(nb201::NetConfig{}, arch).params]++;
        if (i % 1000 != 0) continue;  // the model is linear: a few of each data set
        const auto count = [&](nb201::Op op) { return std::count(arch.ops.begin(), arch.ops.end(), op); };
        const auto n3 = static_cast<double>(count(nb201::Op::nor_conv_3x3)),
                   n1 = static_cast<double>(count(nb201::Op::nor_conv_1x1));
        for (auto [name, classes, size] :
             {std::tuple{"cifar10", 10, "32x32"}, {"cifar100", 100, "32x32"}, {"ImageNet16-120", 120, "16x16"}}) {
            nb201::NetConfig config;
            config.classes = classes;
            config.input_size = number(std::string(size).substr(0, 2));
            const Cost c = cost_of(config, arch);
            report.compare(std::string("params of ") + name, static_cast<double>(c.params),
                           params.at("base").at(name).get<double>() + n3 * params.at("per_3x3_edge").get<double>() +
                               n1 * params.at("per_1x1_edge").get<double>(),
                           0);
            report.compare(std::string("mflops of ") + name, static_cast<double>(c.of(CostConvention::nb201)) / 1e6,
                           mflops.at("base").at(name).get<double>() +
                               n3 * mflops.at("per_3x3_edge").at(size).get<double>() +
                               n1 * mflops.at("per_1x1_edge").at(size).get<double>(),
                           0);
        }
    }
    report.compare("parameter counts", static_cast<double>(histogram.size()),
                   static_cast<double>(all.at("param_histogram_cifar10").size()), 0);
    for (const json& e : all.at("param_histogram_cifar10"))
        report.compare("param_histogram_cifar10", histogram[e.at(0).get<std::int64_t>()], e.at(1).get<double>(), 0);
}

}  // namespace

std::optional<Check> drnas_check(const std::string& key) {
    if (key == "dirichlet") return check_dirichlet;
    if (key == "drnas_effective_lr")
        return [](Device&, const json& expected, Report& report) { check_rates(expected, report); };
    if (key == "nb201") return [](Device&, const json& expected, Report& report) { check_benchmark(expected, report); };
    return std::nullopt;
}

}  // namespace nascent::golden
