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

template <class T>
void fold_sums(const kernels::Stream& stream, const double* sums, const std::vector<kernels::NormFoldOf<T>>& folds) {
    const double* of_products = sums;
    for (const kernels::NormFoldOf<T>& f : folds) {
        of_products += f.shape.channels;
        kernels::norm_fold<T>(stream, f.shape, sums, of_products, f.mean, f.rstd, f.gamma, f.scale, f.slope, f.shift,
                              f.dgamma, f.accumulate_dgamma, f.dbeta, f.accumulate_dbeta);
    }
}

#define NASCENT_NORM_LIST(T)                                                                               \
    template kernels::NormFoldOf<T> fold_of(NormGradient&, const NormArgs&, const NormState&, std::size_t, \
                                            const Tensor&, const Into&, const Into&);                      \
    template void fold_sums(const kernels::Stream&, const double*, const std::vector<kernels::NormFoldOf<T>>&);
NASCENT_NORM_LIST(float)
NASCENT_NORM_LIST(double)
#undef NASCENT_NORM_LIST

FinishWithin::FinishWithin(NormState& state, const NormArgs& args, std::size_t count, const double* sums,
                           const Tensor& gamma, const Tensor& beta)
    : state_(state), args_(args), count_(count), sums_(sums), gamma_(gamma), beta_(beta), offered_(args.training) {
    if (!offered_) return;
    const kernels::NormShape shape = state.checked_shape(args, count, gamma, beta);
    with_type(state.scale.dtype, [&](auto zero) {
        using T = decltype(zero);
        kernels::offer_finish<T>(
            kernel_stream(), sums,
            {shape, pointer<T>(gamma), pointer<T>(beta), pointer<T>(args.running_mean), pointer<T>(args.running_var),
             state.mean.as<double>(), state.rstd.as<double>(), state.scale.as<T>(), state.shift.as<T>()});
    });
}
FinishWithin::~FinishWithin() {
    if (offered_)
        with_type(state_.scale.dtype, [](auto zero) { kernels::finish_taken<decltype(zero)>(kernel_stream()); });
}
void FinishWithin::finish() {
    bool taken = false;
    if (std::exchange(offered_, false))
        with_type(state_.scale.dtype,
                  [&](auto zero) { taken = kernels::finish_taken<decltype(zero)>(kernel_stream()); });
    if (!taken) state_.finish(args_, count_, sums_, gamma_, beta_);
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
