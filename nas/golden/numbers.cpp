#include "nas/golden/numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace nascent::golden {

std::vector<double> fill(const std::string& name, std::span<const std::int64_t> shape, std::size_t index) {
    std::size_t count = 1;
    for (std::int64_t d : shape) count *= static_cast<std::size_t>(d);
    Lcg random(static_cast<std::uint32_t>(12345 + 7919 * index));
    std::vector<double> values(count);
    for (double& v : values) {
        const double u = random.next(), w = 2 * u - 1;
        if (name.ends_with("running_var"))
            v = 0.75 + 0.5 * u;
        else if (shape.size() == 1)
            v = name.ends_with(".weight") ? 1 + 0.2 * w : 0.1 * w;  // gamma; beta, biases and running means
        else
            v = std::sqrt(6 / (static_cast<double>(count) / static_cast<double>(shape[0]))) * w;
    }
    return values;
}

std::vector<double> input(std::size_t count, std::uint32_t seed) {
    Lcg random(seed);
    std::vector<double> values(count);
    for (double& v : values) v = std::sqrt(3.0) * (2 * random.next() - 1);
    return values;
}

double hashed(std::uint64_t i, std::uint64_t t) {
    auto h = static_cast<std::uint32_t>(i + 0x9E3779B9u * (t + 1));
    h = (h ^ h >> 16) * 0x85EBCA6Bu;
    h = (h ^ h >> 13) * 0xC2B2AE35u;
    h ^= h >> 16;
    return 2.0 * h / 4294967296.0 - 1;
}

void Report::compare(const std::string& what, double got, double expected, double scale) {
    numbers++;
    const double allowed = 1e-9 * std::max(std::abs(expected), scale);
    if (std::abs(got - expected) <= allowed) return;
    wrong.push_back(fmt::format("{}: got {:.12g}, expected {:.12g}, off by {:.2g}, allowed {:.2g}", what, got, expected,
                                std::abs(got - expected), allowed));
}

void Report::compare(const std::string& what, std::span<const double> got, const nlohmann::json& expected) {
    double sum = 0, squares = 0;
    for (double v : got) sum += v, squares += v * v;
    const double n = static_cast<double>(got.size()), rms = std::sqrt(squares / std::max(1.0, n));
    const nlohmann::json& first = expected.is_array() ? expected : expected.at("first");
    if (expected.is_object()) {
        std::size_t count = 1;
        for (const auto& d : expected.at("shape")) count *= d.get<std::size_t>();
        if (count != got.size())
            return wrong.push_back(fmt::format("{}: {} numbers, expected {}", what, got.size(), count));
        // The files keep ten digits of these.
        compare(what + ".sum", sum, expected.at("sum"), std::sqrt(n) * rms);
        compare(what + ".sumsq", squares, expected.at("sumsq"), std::sqrt(n) * rms * rms);
    } else if (expected.size() != got.size()) {
        return wrong.push_back(fmt::format("{}: {} numbers, expected {}", what, got.size(), expected.size()));
    }
    for (std::size_t i = 0; i < first.size() && i < got.size(); i++)
        compare(fmt::format("{}[{}]", what, i), got[i], first[i].get<double>(), rms);
}

void Report::compare_text(const std::string& what, const std::string& got, const std::string& expected) {
    numbers++;
    if (got != expected) wrong.push_back(fmt::format("{}: got {}, expected {}", what, got, expected));
}

}  // namespace nascent::golden
