#include <cmath>

#include "nas/algo/arch_draws.h"
#include "ops/constants.h"
#include "ops/reference.h"

namespace nascent {

std::vector<double> gumbel_numbers(const ArchDraw& draw, std::size_t count, int matrix) {
    std::vector<double> noise(count);
    for (std::size_t i = 0; i < noise.size(); i++) {
        const Random r(draw.seed, RandomStream::architecture, draw.step,
                       ArchDraw::first(matrix) + static_cast<std::uint32_t>(i));
        // A uniform of exactly 0 stands for those below 2^-53: the noise stays finite, where published code draws
        // again.
        noise[i] = -std::log(-std::log1p(-std::max(r.uniform(0), 0x1.0p-54)));
    }
    return noise;
}

Tensor gumbel_noise(const ArchDraw& draw, const Tensor& alphas, int matrix) {
    return constants(alphas.shape, alphas.dtype, gumbel_numbers(draw, alphas.size(), matrix));
}

Tensor gumbel_softmax(const Tensor& alphas, const Tensor& noise, double temperature) {
    return gumbel_softmax(alphas, noise, constants({1}, alphas.dtype, 1 / temperature));
}

Tensor gumbel_softmax(const Tensor& alphas, const Tensor& noise, const Tensor& inverse_temperature) {
    return softmax(weighted(add(alphas, noise), inverse_temperature, 0));
}

}  // namespace nascent
