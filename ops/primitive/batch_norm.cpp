#include <array>

#include "kernels/norm.h"
#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

struct BatchNorm {
    static constexpr const char* name = "batch_norm";
    bool operator==(const BatchNorm&) const = default;
    NormArgs args;
    Tensor forward(Inputs in, Saved& saved) const {
        const kernels::Image image = image_of(in[0]);
        const bool affine = in.size() == 3;
        Tensor y = empty(in[0].shape, in[0].dtype);
        Tensor mean = empty({image.c}, y.dtype), rstd = empty({image.c}, y.dtype);
        ScratchScope scratch(current_arena());
        with_type(y.dtype, [&](auto zero) {
            using T = decltype(zero);
            const T* gamma = affine ? in[1].as<T>() : nullptr;
            const T* beta = affine ? in[2].as<T>() : nullptr;
            if (args.training) {
                kernels::batch_norm_plain_forward<T>(kernel_stream(), image, in[0].as<T>(), gamma, beta, args.eps,
                                                     y.as<T>(), mean.as<T>(), rstd.as<T>());
                if (args.running_mean.defined())
                    kernels::batch_norm_plain_running<T>(
                        kernel_stream(), {image.c, image.pixels(), args.eps, args.momentum, args.pooled}, mean.as<T>(),
                        rstd.as<T>(), args.running_mean.as<T>(), args.running_var.as<T>());
                return;
            }
            NASCENT_CHECK(args.running_mean.defined(), runtime, "evaluation needs running statistics");
            // What the backward starts from: statistics that are constants.
            kernels::copy_or_add<T>(kernel_stream(), static_cast<std::size_t>(image.c), args.running_mean.as<T>(),
                                    mean.as<T>(), false);
            kernels::norm_running<T>(kernel_stream(), {image.c, image.pixels(), args.eps, args.momentum}, nullptr,
                                     nullptr, args.running_mean.as<T>(), args.running_var.as<T>(), rstd.as<T>(),
                                     empty({image.c}, y.dtype).as<T>());
            NormState state = NormState::make(image.c, y.dtype);
            state.finish(args, image.pixels(), nullptr, affine ? in[1] : Tensor{}, affine ? in[2] : Tensor{});
            const std::array term{kernels::NormTerm<T>{in[0].as<T>(), state.scale.as<T>(), state.shift.as<T>()}};
            kernels::node_combine<T>(kernel_stream(), image, term, {}, {}, y.as<T>());
        });
        saved = {mean, rstd};
        return y;
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        const bool affine = in.size() == 3;
        with_type(dy.dtype, [&](auto zero) {
            using T = decltype(zero);
            Into none;
            Into& dgamma = affine ? into[1] : none;
            Into& dbeta = affine ? into[2] : none;
            kernels::batch_norm_plain_backward<T>(
                kernel_stream(), image_of(in[0]), in[0].as<T>(), affine ? in[1].as<T>() : nullptr, saved[0].as<T>(),
                saved[1].as<T>(), !args.training, dy.as<T>(), into[0].as<T>(), into[0].accumulate(), dgamma.as<T>(),
                dgamma.accumulate(), dbeta.as<T>(), dbeta.accumulate());
        });
    }
    static std::vector<Case> cases() {
        auto affine = [](Inputs in) { return batch_norm(in[0], in[1], in[2], {}); };
        auto plain = [](Inputs in) { return batch_norm(in[0], {}, {}, {}); };
        // eps makes a variance of any random number.
        auto evaluation = [](Inputs in) { return batch_norm(in[0], in[1], in[2], {in[3], in[4], false, 4}); };
        auto plain_evaluation = [](Inputs in) { return batch_norm(in[0], {}, {}, {in[1], in[2], false, 4}); };
        return {{"affine", {{3, 5, 3, 7}, {7}, {7}}, affine},
                {"plain", {{4, 3, 3, 16}}, plain},
                {"one picture", {{1, 3, 4, 5}, {5}, {5}}, affine},
                {"several chunks", {{40, 2, 1, 3}}, plain},
                {"weights only", {{2, 3, 3, 2}, {2}, {2}}, affine, {false, true, true}},
                {"input only", {{2, 3, 3, 2}, {2}, {2}}, affine, {true, false, false}},
                {"evaluation", {{3, 5, 3, 7}, {7}, {7}, {7}, {7}}, evaluation, {true, true, true, false, false}},
                {"evaluation, plain", {{2, 3, 3, 2}, {2}, {2}}, plain_evaluation, {true, false, false}}};
    }
};

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const NormArgs& args) {
    return gamma.defined() ? apply(BatchNorm{args}, {x, gamma, beta}) : apply(BatchNorm{args}, {x});
}

}  // namespace nascent
