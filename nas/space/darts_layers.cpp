#include "nas/space/darts_layers.h"

#include "engine/base/error.h"

namespace nascent::darts {
namespace {

int steps(int size, int kernel, int stride, int padding, int dilation) {
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

}  // namespace

Flow LayerWriter::add(Layer layer, Flow in, Flow out) {
    layer.part = place_.part;
    layer.cell = place_.cell;
    layer.place = place_.place;
    layer.op = place_.op;
    layer.in = in.channels;
    layer.out = out.channels;
    layer.in_size = in.size;
    layer.out_size = out.size;
    layers_.push_back(std::move(layer));
    return out;
}

LayerWriter::Window LayerWriter::square(int kernel, int stride, int padding) {
    return {.kernel = {kernel, kernel}, .stride = {stride, stride}, .padding = {padding, padding}};
}

Flow LayerWriter::relu(const std::string& name, Flow in) {
    return add({.kind = LayerKind::relu, .name = name, .part = {}}, in, in);
}

Flow LayerWriter::conv(const std::string& name, Flow in, int out, const Window& w) {
    const Extent size{steps(in.size.h - w.skip, w.kernel.h, w.stride.h, w.padding.h, w.dilation),
                      steps(in.size.w - w.skip, w.kernel.w, w.stride.w, w.padding.w, w.dilation)};
    return add({.kind = LayerKind::conv,
                .name = name,
                .part = {},
                .kernel = w.kernel,
                .stride = w.stride,
                .padding = w.padding,
                .dilation = w.dilation,
                .groups = w.groups,
                .skip = w.skip},
               in, {out, size});
}

Flow LayerWriter::norm(const std::string& name, Flow in) {
    return add({.kind = LayerKind::batch_norm, .name = name, .part = {}, .affine = place_.affine}, in, in);
}

Flow LayerWriter::pool(const std::string& name, LayerKind kind, Flow in, int kernel, int stride, int padding) {
    const Extent size{steps(in.size.h, kernel, stride, padding, 1), steps(in.size.w, kernel, stride, padding, 1)};
    return add({.kind = kind,
                .name = name,
                .part = {},
                .kernel = {kernel, kernel},
                .stride = {stride, stride},
                .padding = {padding, padding}},
               in, {in.channels, size});
}

Flow LayerWriter::global_pool(const std::string& name, Flow in) {
    return add({.kind = LayerKind::global_avg_pool, .name = name, .part = {}, .kernel = in.size}, in,
               {in.channels, {1, 1}});
}

Flow LayerWriter::linear(const std::string& name, Flow in, int out) {
    return add({.kind = LayerKind::linear, .name = name, .part = {}}, in, {out, {1, 1}});
}

Flow LayerWriter::relu_conv_bn(const std::string& name, Flow in, int out) {
    Flow x = relu(name + ".op.0", in);
    x = conv(name + ".op.1", x, out, square(1, 1, 0));
    return norm(name + ".op.2", x);
}

Flow LayerWriter::factorized_reduce(const std::string& name, Flow in, int out) {
    NASCENT_CHECK(in.size.h % 2 == 0 && in.size.w % 2 == 0, usage,
                  "{} is a FactorizedReduce of a {} x {} map; it needs even sizes (choose another input size)", name,
                  in.size.h, in.size.w);
    NASCENT_CHECK(out >= 2, usage, "{} is a FactorizedReduce to {} channel; it needs two or more", name, out);
    const Flow x = relu(name + ".relu", in);
    Flow y = conv(name + ".conv_1", x, out / 2, square(1, 2, 0));
    Window shifted = square(1, 2, 0);
    shifted.skip = 1;
    conv(name + ".conv_2", x, out - out / 2, shifted);  // of an odd number the larger half (AngleNAS)
    y.channels = out;
    return norm(name + ".bn", y);
}

/// ReLU, depthwise, pointwise, BN as modules first ... first + 3 of `prefix`.
Flow LayerWriter::depthwise(const std::string& prefix, int first, Flow in, int kernel, int stride, int dilation) {
    auto name = [&](int i) { return fmt::format("{}.{}", prefix, first + i); };
    Window window = square(kernel, stride, dilation * (kernel - 1) / 2);
    window.dilation = dilation;
    window.groups = in.channels;
    Flow x = relu(name(0), in);
    x = conv(name(1), x, in.channels, window);
    x = conv(name(2), x, in.channels, square(1, 1, 0));
    return norm(name(3), x);
}

Flow LayerWriter::op(const std::string& name, Op op, Flow in, int stride, bool pool_norm) {
    auto separable = [&](int kernel) {
        return depthwise(name + ".op", 4, depthwise(name + ".op", 0, in, kernel, stride, 1), kernel, 1, 1);
    };
    auto pooled = [&](LayerKind kind) {
        const Flow x = pool(pool_norm ? name + ".0" : name, kind, in, 3, stride, 1);
        return pool_norm ? norm(name + ".1", x) : x;
    };
    switch (op) {
        case Op::none:  // every stride-th row and column, times zero
            return {in.channels, {steps(in.size.h, 1, stride, 0, 1), steps(in.size.w, 1, stride, 0, 1)}};
        case Op::max_pool_3x3:
            return pooled(LayerKind::max_pool);
        case Op::avg_pool_3x3:
            return pooled(LayerKind::avg_pool);
        case Op::skip_connect:
            return stride == 1 ? in : factorized_reduce(name, in, in.channels);
        case Op::sep_conv_3x3:
            return separable(3);
        case Op::sep_conv_5x5:
            return separable(5);
        case Op::sep_conv_7x7:
            return separable(7);
        case Op::dil_conv_3x3:
            return depthwise(name + ".op", 0, in, 3, stride, 2);
        case Op::dil_conv_5x5:
            return depthwise(name + ".op", 0, in, 5, stride, 2);
        case Op::conv_7x1_1x7: {
            Flow x = relu(name + ".0", in);
            x = conv(name + ".1", x, in.channels, {.kernel = {1, 7}, .stride = {1, stride}, .padding = {0, 3}});
            x = conv(name + ".2", x, in.channels, {.kernel = {7, 1}, .stride = {stride, 1}, .padding = {3, 0}});
            return norm(name + ".3", x);
        }
    }
    fail(ErrorKind::usage, "{}: no DARTS operator has the number {}", name, static_cast<int>(op));
}

Flow LayerWriter::auxiliary_head(Flow in, const NetConfig& config) {
    const bool cifar = config.stem == Stem::cifar;
    const std::string features = "auxiliary_head.features.";
    // A map of 2 x 2 must come out of the pool: the convolution that follows makes one pixel of it.
    const int stride = cifar ? 3 : 2, side = in.size.h;
    NASCENT_CHECK(side >= 5 && steps(side, 5, stride, 0, 1) == 2, usage,
                  "the auxiliary head reads a {0} x {0} map; expected {1}..{2} (choose another input size or none)",
                  side, 5 + stride, 4 + 2 * stride);
    Flow x = relu(features + "0", in);
    x = pool(features + "1", LayerKind::avg_pool, x, 5, stride, 0);
    x = conv(features + "2", x, 128, square(1, 1, 0));
    x = norm(features + "3", x);
    x = relu(features + "4", x);
    x = conv(features + "5", x, 768, square(2, 1, 0));
    if (cifar) x = norm(features + "6", x);  // left out of the ImageNet head to match the paper's runs
    x = relu(features + (cifar ? "7" : "6"), x);
    return linear("auxiliary_head.classifier", x, config.classes);
}

}  // namespace nascent::darts
