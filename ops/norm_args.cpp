#include "ops/norm_args.h"

#include "kernels/norm.h"

namespace nascent {
namespace {
template <class T>
T* pointer(const Tensor& t) {
    return t.defined() ? t.as<T>() : nullptr;
}
}  // namespace

NormState NormState::make(int channels, DType dtype) {
    return {empty({channels}, dtype), empty({channels}, dtype), empty({channels}, DType::f64),
            empty({channels}, DType::f64)};
}

void NormState::finish(const NormArgs& args, std::size_t count, const double* sums, const Tensor& gamma,
                       const Tensor& beta) {
    const kernels::NormShape shape{static_cast<int>(scale.size()), count, args.eps, args.momentum};
    if (gamma.defined()) check_vector(gamma, shape.channels, scale.dtype, "batch-norm weight");
    if (beta.defined()) check_vector(beta, shape.channels, scale.dtype, "batch-norm bias");
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
