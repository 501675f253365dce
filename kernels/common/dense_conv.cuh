// The convolutions of conv.h on tensor cores: of floats (tf32) channels in fours, of bf16 in eights, every tensor at a
// multiple of 16 bytes. What is otherwise is computed as in strict float32.
#pragma once
#include "kernels/common/weight_gradients.cuh"

namespace nascent::kernels::gpu {

template <class S>
bool has_dense(const Stream& stream, int c_in, int c_out) {
    if (std::is_same_v<S, BFloat16>) return c_in % 8 == 0 && c_out % 8 == 0;
    return std::is_same_v<S, float> && stream.precision == Precision::tf32 && c_in % 4 == 0 && c_out % 4 == 0;
}

/// f(S{}) of the type whose elements are as large.
template <class F>
std::size_t of_element(std::size_t element, F&& f) {
    return element == sizeof(BFloat16) ? f(BFloat16{}) : element == sizeof(float) ? f(float{}) : f(double{});
}

/// S is float or BFloat16. False, with nothing done, where it cannot be.
template <class S>
bool dense_forward(const Stream&, const ConvShape&, const S* x, const Prologue<S>&, ConvWeights<S>, S* z, double* sums,
                   void* workspace);
/// da (null: not wanted).
template <class S>
bool dense_input_gradient(const Stream&, const ConvShape&, const S* x, const Prologue<S>&, ConvWeights<S>, const S* dy,
                          const NormFold<S>&, S* da, bool accumulate);
template <class S>
bool dense_weight_gradients(const Stream&, const ConvShape&, const Prologue<S>&, std::span<const WeightGradient<S>>,
                            void* workspace);
/// 0 where has_dense() is false.
template <class S>
std::size_t dense_forward_workspace(const Stream&, const ConvShape&);
template <class S>
std::size_t dense_backward_workspace(const Stream&, const ConvShape&, std::size_t count);

}  // namespace nascent::kernels::gpu
