// Rows of architecture parameters as Dirichlet distributions with concentrations elu(alpha) + 1 (DrNAS, Chen et al.,
// ICLR 2021): draws, their pathwise gradients, and the divergence from the uniform distribution. All inside in double.
#pragma once
#include <cstdint>

#include "kernels/stream.h"

namespace nascent::kernels {

/// What a draw is a function of, besides the element: Philox4x32-10's key, and its counter but for one word.
struct DrawKey {
    std::uint64_t seed = 0, step = 0;
    std::uint32_t stream = 0, first = 0;     // `first`: the number of the first element; below 2^24 with all others
    const std::uint64_t* step_at = nullptr;  // where the kernel runs: read instead of `step`
};

/// drawn (3, rows, columns): x ~ Dir(concentrations) by row; y = 1 - x, exact where x is near 1; the concentrations. x
/// and y are at least the smallest normal number.
template <class T>
void dirichlet_draw(const Stream&, const DrawKey&, int rows, int columns, const T* alphas, double* drawn);

/// weights = x + J (concentrations(alphas) - drawn ones), J the pathwise derivative of x at what was drawn: x itself
/// where the alphas are those of the draw. In T they stay inside (0, 1). `kept` (rows, columns; null: all) is 1 for
/// components that are kept and 0 for those that are not, which become 0 while the others are divided by their sum; a
/// row keeps one at least.
template <class T>
void dirichlet_forward(const Stream&, int rows, int columns, const T* alphas, const double* drawn, const double* kept,
                       T* weights);
/// dalphas (+)= its gradient, exactly 0 for what is not kept where the alphas are those of the draw.
template <class T>
void dirichlet_backward(const Stream&, int rows, int columns, const T* alphas, const double* drawn, const double* kept,
                        const T* dweights, T* dalphas, bool accumulate);

/// y[0] = scale * the sum over rows of KL(Dir(concentrations) || Dir(1, .., 1)).
template <class T>
void dirichlet_kl_forward(const Stream&, int rows, int columns, double scale, const T* alphas, T* y);
/// dalphas (+)= dy[0] * its gradient.
template <class T>
void dirichlet_kl_backward(const Stream&, int rows, int columns, double scale, const T* alphas, const T* dy, T* dalphas,
                           bool accumulate);

}  // namespace nascent::kernels
