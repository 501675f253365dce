// The numbers behind golden files: how inputs and weights are filled, and when a result agrees
// (specification of the files: section 16 of the facts about DARTS; every file says so in `rule`).
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace nascent::golden {

/// x <- (1664525 x + 1013904223) mod 2^32 from the seed; each value is x / 2^32 after one update.
class Lcg {
  public:
    explicit Lcg(std::uint32_t seed) : x_(seed) {}
    double next() { return (x_ = 1664525u * x_ + 1013904223u) / 4294967296.0; }

  private:
    std::uint32_t x_;
};

/// The `index`th tensor (of floats) of a state dict, by name and shape.
std::vector<double> fill(const std::string& name, std::span<const std::int64_t> shape, std::size_t index);
/// sqrt(3) (2u - 1), a batch in PyTorch's order.
std::vector<double> input(std::size_t count, std::uint32_t seed);

/// 2 h / 2^32 - 1 with h the finaliser of murmur3 of i + 0x9E3779B9 (t + 1) mod 2^32: element i of tensor t.
double hashed(std::uint64_t i, std::uint64_t t);

/// What was compared, and every disagreement in words.
struct Report {
    std::size_t numbers = 0;
    std::vector<std::string> wrong;
    /// |got - expected| <= 1e-9 max(|expected|, scale); not-a-number never agrees.
    void compare(const std::string& what, double got, double expected, double scale);
    /// `expected` is a list of numbers, or a digest: {shape, sum, sumsq, first}.
    void compare(const std::string& what, std::span<const double> got, const nlohmann::json& expected);
    void compare_text(const std::string& what, const std::string& got, const std::string& expected);
};

}  // namespace nascent::golden
