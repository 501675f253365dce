// lr: learning rates at some epochs of a schedule. Which epochs is the files' rule: the first, those around a change of
// the formula, the middle of a cosine, the last.
#include <nlohmann/json.hpp>
#include <regex>

#include "nas/algo/schedules.h"
#include "nas/golden/kinds.h"
#include "nas/golden/tensors.h"

namespace nascent::golden {
namespace {

using nlohmann::json;

void check_rates(const std::string& name, const std::vector<std::int64_t>& epochs,
                 const std::function<double(std::int64_t)>& rate, const json& expected, Report& report) {
    NASCENT_CHECK(expected.is_array() && expected.size() == epochs.size(), data, "lr: {}: expected {} numbers", name,
                  epochs.size());
    for (std::size_t i = 0; i < epochs.size(); i++)
        report.compare(name + " epoch " + std::to_string(epochs[i]), rate(epochs[i]), expected[i].get<double>(), 0);
}

void check_schedule(const std::string& name, const json& expected, Report& report) {
    std::smatch m;
    if (std::regex_match(name, m, std::regex("darts_(search|eval)_cosine_([0-9.e-]+)_([0-9.e-]+)_T([0-9]+)"))) {
        const double lr = std::stod(m[2]), lr_min = std::stod(m[3]);
        const std::int64_t t = number(m[4]);
        std::vector<std::int64_t> epochs{0, 1, 2, t / 2, t - 2, t - 1};
        if (m[1] == "eval") epochs.erase(epochs.begin() + 2);
        return check_rates(
            name, epochs, [=](std::int64_t e) { return cosine_lr(lr, lr_min, t, e); }, expected, report);
    }
    if (std::regex_match(name, m, std::regex("(pcdarts|evnas)_imagenet_linear_(bs([0-9]+)_)?([0-9.e-]+)_([0-9]+)"))) {
        const bool pcdarts = m[1] == "pcdarts";
        // PC-DARTS's own batch where the name has none.
        const int batch = m[3].matched ? number(m[3]) : 1024;
        const double lr = std::stod(m[4]);
        const std::int64_t t = number(m[5]);
        std::vector<std::int64_t> epochs{0, 1, 4, 5, 6, t - 6, t - 5, t - 1};
        if (!pcdarts) epochs.erase(epochs.begin() + 4);
        return check_rates(
            name, epochs,
            [=](std::int64_t e) {
                return warm_linear_lr(lr, t, e, batch, pcdarts ? WarmUp::replace : WarmUp::multiply);
            },
            expected, report);
    }
    fail(ErrorKind::data, "lr: '{}' is no schedule that is known", name);
}

}  // namespace

std::optional<Check> schedule_check(const std::string& key) {
    if (key != "lr") return std::nullopt;
    return [](Device&, const json& schedules, Report& report) {
        for (const auto& [name, expected] : schedules.items()) check_schedule(name, expected, report);
    };
}

}  // namespace nascent::golden
