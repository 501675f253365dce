#include "ops/picture_stem.h"

#include "kernels/picture.h"
#include "kernels/primitive.h"
#include "ops/norm_list.h"
#include "ops/reference.h"
#include "ops/rounding.h"

namespace nascent {
namespace {

kernels::ConvShape checked_shape(const PictureInput& in, int c_out) {
    const Shape& p = in.pictures.shape;
    NASCENT_CHECK(p.rank() == 4 && p[3] == 3 && in.pictures.dtype == DType::u8, runtime,
                  "pictures: expected bytes (count, h, w, 3), got {} {}", name_of(in.pictures.dtype), p.text());
    NASCENT_CHECK(in.draws.shape.rank() == 2 && in.draws.shape[1] == 4 && in.draws.dtype == DType::i32, runtime,
                  "draws: expected int32 (n, 4), got {} {}", name_of(in.draws.dtype), in.draws.shape.text());
    NASCENT_CHECK(in.table.shape == Shape({256, 3}), runtime, "table: expected (256, 3), got {}",
                  in.table.shape.text());
    return {static_cast<int>(in.draws.shape[0]), static_cast<int>(p[1]), static_cast<int>(p[2]), 3, c_out, 3, 1};
}

template <class S>
kernels::PictureBatch<S> batch_of(const PictureInput& in) {
    static_assert(sizeof(kernels::PictureDraw) == 4 * sizeof(std::int32_t));
    return {in.pictures.as<std::uint8_t>(), static_cast<const kernels::PictureDraw*>(in.draws.data),
            in.table.as<kernels::Compute<S>>(), in.pad_y, in.pad_x};
}

/// Inputs: w, gamma, beta.
struct PictureStem {
    static constexpr const char* name = "picture_stem";
    bool operator==(const PictureStem&) const = default;
    PictureInput pictures;
    NormArgs norm;

    kernels::ConvShape shape(Inputs in) const {
        NASCENT_CHECK(in[0].shape.rank() == 4 && in[0].shape == Shape({3, 3, 3, in[0].shape[3]}), runtime,
                      "weights: expected (3, 3, 3, c_out), got {}", in[0].shape.text());
        return checked_shape(pictures, static_cast<int>(in[0].shape[3]));
    }

    /// saved: z and the norm's state.
    Tensor forward(Inputs in, Saved& saved) const {
        const kernels::ConvShape s = shape(in);
        Tensor y = empty(conv_output(s), activation_type(in[0].dtype)), z = empty(y.shape, y.dtype);
        NormState state = NormState::make(s.c_out, y.dtype);
        saved = {z, state.scale, state.shift, state.mean, state.rstd};
        ScratchScope scratch(current_arena());
        double* sums = norm.training ? doubles(2 * static_cast<std::size_t>(s.c_out)) : nullptr;
        FinishWithin within(state, norm, s.pixels(), sums, in[1], in[2]);
        with_stored(y.dtype, [&](auto zero) {
            using S = decltype(zero);
            const kernels::Stream stream = kernel_stream();
            kernels::picture_conv_forward<S>(stream, s, batch_of<S>(pictures), in[0].as<kernels::Compute<S>>(),
                                             z.as<S>(), sums,
                                             workspace(kernels::picture_conv_forward_workspace(stream, s, sizeof(S))));
        });
        within.finish();
        state.normalise(z, y);
        return y;
    }

    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        const kernels::ConvShape s = shape(in);
        const NormGradient g =
            NormGradient::make(norm, {saved[1], saved[2], saved[3], saved[4]}, dy, saved[0], in[1], into[1], into[2]);
        if (!into[0]) return;
        with_stored(dy.dtype, [&](auto zero) {
            using S = decltype(zero);
            using T = kernels::Compute<S>;
            const kernels::Stream stream = kernel_stream();
            kernels::picture_conv_backward<S>(
                stream, s, batch_of<S>(pictures), dy.as<S>(),
                {saved[0].as<S>(), g.scale.as<T>(), g.slope.as<T>(), g.shift.as<T>()}, into[0].as<T>(),
                into[0].accumulate(), workspace(kernels::picture_conv_backward_workspace(stream, s, sizeof(S))));
        });
    }

    Tensor reference(Inputs in) const {
        return stored(batch_norm(stored(conv2d(nascent::picture_input(pictures), in[0])), in[1], in[2], norm));
    }

    static std::vector<Case> cases();
};

/// Six pictures of pseudo-random bytes, and draws that reach every border of the padding, mirrored and not.
PictureInput sample(int n, int h, int w, DType dtype) {
    const int pad_y = h / 3, pad_x = w / 4;
    PictureInput in{empty({6, h, w, 3}, DType::u8), empty({n, 4}, DType::i32), empty({256, 3}, dtype), pad_y, pad_x};
    std::vector<std::uint8_t> bytes(in.pictures.size());
    std::uint32_t state = 12345;
    for (std::uint8_t& b : bytes) b = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
    std::vector<std::int32_t> draws;
    for (int i = 0; i < n; i++) {
        const int rows = 2 * pad_y + 1, columns = 2 * pad_x + 1;
        draws.insert(draws.end(), {i * 5 % 6, i * (rows - 1) % rows, i * (columns - 1) % columns, i % 2});
    }
    in.pictures.device->copy_in(in.pictures.data, bytes.data(), bytes.size());
    in.draws.device->copy_in(in.draws.data, draws.data(), in.draws.bytes());
    with_type(dtype, [&](auto zero) {
        using T = decltype(zero);
        std::vector<T> table(in.table.size());
        for (int byte = 0; byte < 256; byte++)
            for (int c = 0; c < 3; c++)
                table[static_cast<std::size_t>(byte * 3 + c)] = static_cast<T>((byte - 120.0 - c) / 70);
        in.table.device->copy_in(in.table.data, table.data(), in.table.bytes());
    });
    return in;
}

std::vector<Case> PictureStem::cases() {
    std::vector<Case> all;
    auto add_case = [&](int n, int h, int w, int c_out, std::vector<bool> differentiable) {
        all.push_back({fmt::format("{}x{}x{} to {}{}", n, h, w, c_out, differentiable.empty() ? "" : ", some"),
                       {{3, 3, 3, c_out}, {c_out}, {c_out}},
                       [=](Inputs in) { return picture_stem(sample(n, h, w, in[0].dtype), in[0], in[1], in[2], {}); },
                       std::move(differentiable),
                       {n, h, w, c_out}});
    };
    add_case(1, 5, 7, 3, {});
    add_case(3, 8, 8, 16, {});
    add_case(35, 3, 4, 5, {});
    add_case(2, 4, 5, 4, {true, false, false});
    add_case(2, 4, 5, 4, {false, true, true});
    all.push_back({"used twice", {{3, 3, 3, 4}, {4}, {4}}, [](Inputs in) {
                       const PictureInput some = sample(3, 4, 4, in[0].dtype);
                       return add(picture_stem(some, in[0], in[1], in[2], {}),
                                  picture_stem(some, in[0], in[1], in[2], {}));
                   }});
    for (Case& c : all) c.activations = 0;
    return all;
}

}  // namespace

Tensor picture_input(const PictureInput& in) {
    const kernels::ConvShape s = checked_shape(in, 1);
    Tensor x = empty({s.n, s.h, s.w, 3}, activation_type(in.table.dtype));
    with_stored(x.dtype, [&](auto zero) {
        using S = decltype(zero);
        kernels::picture_input<S>(kernel_stream(), s, batch_of<S>(in), x.as<S>());
    });
    return x;
}

Tensor picture_stem(const PictureInput& in, const Tensor& w, const Tensor& gamma, const Tensor& beta,
                    const NormArgs& norm) {
    return apply(PictureStem{in, norm}, {w, gamma, beta});
}

Tensor as_activations(const Tensor& x) {
    const DType stored = activation_type(x.dtype);
    if (stored == x.dtype) return rounded(x, RoundTo::bf16, RoundTo::nothing);
    NASCENT_CHECK(!x.id.wanted(), runtime, "pictures that are stored as {} have no gradient", name_of(stored));
    Tensor y = empty(x.shape, stored);
    with_stored(stored, [&](auto zero) {
        using S = decltype(zero);
        kernels::store_as<S>(kernel_stream(), x.size(), x.as<kernels::Compute<S>>(), y.as<S>());
    });
    return y;
}

}  // namespace nascent
