#include "ops/norm_args.h"

#include <array>

#include "ops/norm_list.h"

namespace nascent {
namespace {
template <class T>
T* pointer(const Tensor& t) {
    return t.defined() ? t.as<T>() : nullptr;
}
}  // namespace

NormState NormState::make(int channels, DType dtype) {
    dtype = compute_type(dtype);
    return {empty({channels}, dtype), empty({channels}, dtype), empty({channels}, DType::f64),
            empty({channels}, DType::f64)};
}

kernels::NormShape NormState::checked_shape(const NormArgs& args, std::size_t count, const Tensor& gamma,
                                            const Tensor& beta) const {
    const int channels = static_cast<int>(scale.size());
    if (gamma.defined()) check_vector(gamma, channels, scale.dtype, "batch-norm weight");
    if (beta.defined()) check_vector(beta, channels, scale.dtype, "batch-norm bias");
    return {channels, count, args.eps, args.momentum, args.pooled};
}

void NormState::finish(const NormArgs& args, std::size_t count, const double* sums, const Tensor& gamma,
                       const Tensor& beta) {
    const kernels::NormShape shape = checked_shape(args, count, gamma, beta);
    NASCENT_CHECK(args.training || args.running_mean.defined(), runtime, "evaluation needs running statistics");
    with_type(scale.dtype, [&](auto zero) {
        using T = decltype(zero);
        if (args.training)
            kernels::norm_finish<T>(kernel_stream(), shape, sums, pointer<T>(gamma), pointer<T>(beta),
                                    pointer<T>(args.running_mean), pointer<T>(args.running_var), mean.as<double>(),
                                    rstd.as<double>(), scale.as<T>(), shift.as<T>());
        else
            kernels::norm_running<T>(kernel_stream(), shape, pointer<T>(gamma), pointer<T>(beta),
                                     args.running_mean.as<T>(), args.running_var.as<T>(), scale.as<T>(), shift.as<T>());
    });
}

void NormState::normalise(const Tensor& z, const Tensor& y) const {
    with_stored(z.dtype, [&](auto zero) {
        using S = decltype(zero);
        using T = kernels::Compute<S>;
        const std::array term{kernels::NormTerm<S>{z.as<S>(), scale.as<T>(), shift.as<T>()}};
        kernels::node_combine<S>(kernel_stream(), image_of(z), term, {}, {}, y.as<S>());
    });
}

NormGradient NormGradient::make(const NormArgs& args, const NormState& state, const Tensor& dy, const Tensor& z,
                                const Tensor& gamma, const Into& dgamma, const Into& dbeta) {
    const kernels::Image image = image_of(dy);
    const kernels::Stream stream = kernel_stream();
    double* sums = doubles(2 * static_cast<std::size_t>(image.c));
    NormGradient g;
    with_stored(dy.dtype, [&](auto zero) {
        using S = decltype(zero);
        using T = kernels::Compute<S>;
        const std::array one{static_cast<const S*>(z.as<S>())};
        void* space = workspace(kernels::norm_sums_workspace(stream, image, 1));
        fold_within<T>(stream, sums, {fold_of<T>(g, args, state, image.pixels(), gamma, dgamma, dbeta)},
                       [&] { kernels::norm_backward_sums<S>(stream, image, dy.as<S>(), one, sums, space); });
    });
    return g;
}

NormGradient NormGradient::make(const NormArgs& args, const NormState& state, std::size_t count, const double* s,
                                const double* sz, const Tensor& gamma, const Into& dgamma, const Into& dbeta) {
    NASCENT_CHECK(args.training, runtime, "a batch-norm in evaluation mode has no backward");
    const int channels = static_cast<int>(state.scale.size());
    const DType dtype = state.scale.dtype;
    NormGradient g{empty({channels}, dtype), empty({channels}, dtype), empty({channels}, dtype)};
    with_type(dtype, [&](auto zero) {
        using T = decltype(zero);
        kernels::norm_fold<T>(kernel_stream(), {channels, count, args.eps, args.momentum}, s, sz,
                              state.mean.as<double>(), state.rstd.as<double>(), pointer<T>(gamma), g.scale.as<T>(),
                              g.slope.as<T>(), g.shift.as<T>(), dgamma.as<T>(), dgamma.accumulate(), dbeta.as<T>(),
                              dbeta.accumulate());
    });
    return g;
}

}  // namespace nascent
