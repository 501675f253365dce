#include "ops/norm_list.h"

#include <utility>

namespace nascent {
namespace {
template <class T>
T* pointer(const Tensor& t) {
    return t.defined() ? t.as<T>() : nullptr;
}
}  // namespace

template <class T>
kernels::NormFinish<T> finish_of(const NormState& state, const NormArgs& args, std::size_t count,
                                 const kernels::HeldSums& sums, const Tensor& gamma, const Tensor& beta) {
    const kernels::NormShape shape{static_cast<int>(state.scale.size()), count, args.eps, args.momentum, args.pooled};
    if (gamma.defined()) check_vector(gamma, shape.channels, state.scale.dtype, "batch-norm weight");
    if (beta.defined()) check_vector(beta, shape.channels, state.scale.dtype, "batch-norm bias");
    return {shape,
            sums,
            pointer<T>(gamma),
            pointer<T>(beta),
            pointer<T>(args.running_mean),
            pointer<T>(args.running_var),
            state.mean.as<double>(),
            state.rstd.as<double>(),
            state.scale.as<T>(),
            state.shift.as<T>()};
}
template <class T>
kernels::NormFoldOf<T> fold_of(NormGradient& g, const NormArgs& args, const NormState& state, std::size_t count,
                               const Tensor& gamma, const Into& dgamma, const Into& dbeta) {
    NASCENT_CHECK(args.training, runtime, "a batch-norm in evaluation mode has no backward");
    const int channels = static_cast<int>(state.scale.size());
    for (Tensor* t : {&g.scale, &g.slope, &g.shift}) *t = empty({channels}, state.scale.dtype);
    return {{channels, count, args.eps, args.momentum},
            state.mean.as<double>(),
            state.rstd.as<double>(),
            pointer<T>(gamma),
            g.scale.as<T>(),
            g.slope.as<T>(),
            g.shift.as<T>(),
            dgamma.as<T>(),
            dbeta.as<T>(),
            dgamma.accumulate(),
            dbeta.accumulate()};
}

#define NASCENT_NORM_LIST(T)                                                                               \
    template kernels::NormFinish<T> finish_of(const NormState&, const NormArgs&, std::size_t,              \
                                              const kernels::HeldSums&, const Tensor&, const Tensor&);     \
    template kernels::NormFoldOf<T> fold_of(NormGradient&, const NormArgs&, const NormState&, std::size_t, \
                                            const Tensor&, const Into&, const Into&);
NASCENT_NORM_LIST(float)
NASCENT_NORM_LIST(double)
#undef NASCENT_NORM_LIST

HeldSums::HeldSums(const kernels::Stream& stream, bool held) : stream_(stream), held_(held) {
    if (held_) kernels::hold_sums(stream_);
}
HeldSums::~HeldSums() {
    if (held_) kernels::take_sums(stream_, nullptr);
}
kernels::HeldSums HeldSums::take(const double* sums) {
    held_ = false;
    return kernels::take_sums(stream_, sums);
}

void finish_held(NormState& state, const NormArgs& args, std::size_t count, HeldSums& held, const double* sums,
                 const Tensor& gamma, const Tensor& beta) {
    const kernels::HeldSums taken = held.take(sums);
    if (!args.training) return state.finish(args, count, nullptr, gamma, beta);
    with_type(state.scale.dtype, [&](auto zero) {
        using T = decltype(zero);
        const auto one = finish_of<T>(state, args, count, taken, gamma, beta);
        kernels::norms_finish<T>(kernel_stream(), std::span(&one, 1));
    });
}

template <class T>
HeldGradients<T>::HeldGradients(const kernels::Stream& stream, bool held) : stream_(stream), held_(held) {
    if (held_) kernels::hold_gradients<T>(stream_);
}
template <class T>
HeldGradients<T>::~HeldGradients() {
    if (held_) kernels::forget_gradients<T>(stream_);
}
template <class T>
void HeldGradients<T>::add() {
    if (std::exchange(held_, false)) kernels::add_gradients<T>(stream_);
}
template class HeldGradients<float>;
template class HeldGradients<double>;

}  // namespace nascent
