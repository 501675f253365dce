// architect_{no_momentum_buffer|after_one_sgd_step}_{first|second}_order: gradients of the alphas, and
// adam_first_step_alphas_{normal|reduce}_row{r}: that row after a step along the first-order gradient.
#include <nlohmann/json.hpp>
#include <regex>

#include "nas/algo/architect.h"
#include "nas/golden/kinds.h"
#include "nas/golden/tensors.h"
#include "ops/optim/adam.h"
#include "ops/optim/sgd.h"
#include "ops/reference.h"

namespace nascent::golden {
namespace {

using nlohmann::json;

// The files' network and settings.
constexpr int channels = 4, layers = 5, pictures = 8;
constexpr double lr = 0.025, momentum = 0.9, weight_decay = 3e-4;

struct Setting {
    int channels = golden::channels, layers = golden::layers;
    bool second_order = false, after_sgd = false, twin = false;
};

void run(const Setting& s, Device& device, const std::function<void(DartsNet&, const Tape&)>& use) {
    darts::NetConfig config = darts::search_config("cifar10");
    config.channels = s.channels;
    config.layers = s.layers;
    DartsNet net(device, DType::f64, darts::search_net(config));
    fill_net(net);
    Arena arena(device);
    ExecutionScope execution(arena);
    Architect architect(net, arena, {s.second_order, momentum, weight_decay, s.twin});
    const int size = config.input_size;
    const std::size_t count = static_cast<std::size_t>(pictures) * 3 * size * size;
    const LabelledBatch train{to_device(input(count, 99), pictures, 3, size, size),
                              labels_of(pictures, config.classes)};
    const LabelledBatch valid{to_device(input(count, 100), pictures, 3, size, size),
                              labels_of(pictures, config.classes, 2)};
    Sgd sgd(
        net.store(), {momentum, weight_decay, false, 5, SgdOptions::Inactive::skip}, [](std::int64_t) { return lr; },
        architect.weight_ranges());
    if (s.after_sgd) {
        ScratchScope scratch(arena);
        const ConstantRanges constant(net.store(), architect.alpha_ranges());
        Tape tape(arena, &net.store());
        TapeScope recording(&tape);
        backward_from(tape, cross_entropy(net.logits(train.x, true), train.labels));
        sgd.step(tape);
    }
    architect.gradients(train, valid, lr, [&](const Tape& tape) { use(net, tape); });
}

void check_gradients(const Setting& s, Device& device, const json& expected, Report& report) {
    run(s, device, [&](DartsNet& net, const Tape& tape) {
        report.compare("dalpha_normal", from_device(gradient(net, tape, "alphas_normal")),
                       expected.at("dalpha_normal"));
        report.compare("dalpha_reduce", from_device(gradient(net, tape, "alphas_reduce")),
                       expected.at("dalpha_reduce"));
    });
}

void check_adam(const std::string& name, int row, Device& device, const json& expected, Report& report) {
    run({}, device, [&](DartsNet& net, const Tape& tape) {
        Adam adam(net.store(), {0.5, 0.999, 1e-8, 1e-3}, [](std::int64_t) { return 3e-4; });
        adam.step(tape);
        const std::vector<double> all = net.get(name);
        const std::size_t columns = darts::kPrimitives, first = static_cast<std::size_t>(row) * columns;
        NASCENT_CHECK(first + columns <= all.size(), data, "{} has no row {}", name, row);
        report.compare(name, std::span(all).subspan(first, columns), expected);
    });
}

}  // namespace

std::optional<Check> architect_check(const std::string& key) {
    std::smatch m;
    if (std::regex_match(
            key, m,
            std::regex(
                "architect_(no_momentum_buffer|after_one_sgd_step)_(first|second)_order(_C([0-9]+)_L([0-9]+))?"))) {
        Setting s;
        s.after_sgd = m[1] == "after_one_sgd_step";
        s.second_order = m[2] == "second";
        if (m[3].matched) s.channels = number(m[4]), s.layers = number(m[5]);
        return [s](Device& d, const json& e, Report& r) mutable {
            check_gradients(s, d, e, r);
            s.twin = true;
            if (s.second_order) check_gradients(s, d, e, r);
        };
    }
    if (std::regex_match(key, m, std::regex("adam_first_step_(alphas_normal|alphas_reduce)_row([0-9]+)")))
        return [name = m[1].str(), row = number(m[2])](Device& d, const json& e, Report& r) {
            check_adam(name, row, d, e, r);
        };
    return std::nullopt;
}

}  // namespace nascent::golden
