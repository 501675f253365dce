// Where in the random streams the draws of architectures lie.
#pragma once
#include "engine/base/rng.h"
#include "nas/algo/arch_rules.h"
#include "ops/dirichlet.h"

namespace nascent {

/// The forward that is drawn for, as a key. Of four numbers a step the last is nas/algo/sampled_range's, by epoch,
/// where there are no candidates.
struct ArchDraw {
    std::uint64_t seed = 0, step = 0;
    std::int64_t epoch = 0;
    Pass pass = Pass::evaluation;
    void begin(Pass pass_, std::int64_t epoch_, std::int64_t number) {
        pass = pass_;
        step = static_cast<std::uint64_t>(number) * 4 + static_cast<std::uint64_t>(pass_);
        epoch = epoch_;
    }
    /// The number of a matrix's first element; matrices are below 2^12 elements.
    static std::uint32_t first(int matrix) { return static_cast<std::uint32_t>(matrix) << 12; }
    DrawKey key(int matrix) const {
        return {seed, step, static_cast<std::uint32_t>(RandomStream::architecture), first(matrix)};
    }
};

/// Standard Gumbel noise for a matrix, element by element: -log of an exponential variable.
std::vector<double> gumbel_numbers(const ArchDraw& draw, std::size_t count, int matrix);
/// The same as a tensor of its shape and type.
Tensor gumbel_noise(const ArchDraw& draw, const Tensor& alphas, int matrix);
/// softmax((log softmax(alphas) + noise) / temperature) by row; the row's log-normaliser shifts all of it and cancels.
Tensor gumbel_softmax(const Tensor& alphas, const Tensor& noise, double temperature);
/// With 1 / temperature as a tensor of shape (1).
Tensor gumbel_softmax(const Tensor& alphas, const Tensor& noise, const Tensor& inverse_temperature);

}  // namespace nascent
