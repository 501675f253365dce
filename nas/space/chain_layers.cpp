#include "nas/space/chain_layers.h"

#include <utility>

namespace nascent::chain {

void LayerWriter::at(Part part, int block, int op) {
    part_ = part;
    block_ = block;
    op_ = op;
    branch_ = Branch::trunk;
}

Flow LayerWriter::add(Layer layer, Flow in, Flow out) {
    layer.part = part_;
    layer.branch = branch_;
    layer.block = block_;
    layer.op = op_;
    layer.in = in.channels;
    layer.out = out.channels;
    layer.in_size = in.size;
    layer.out_size = out.size;
    layers_.push_back(std::move(layer));
    return out;
}

Flow LayerWriter::conv(const std::string& name, Flow in, int out, int kernel, int stride, int groups) {
    const int padding = kernel / 2, size = (in.size + 2 * padding - kernel) / stride + 1;
    return add({.kind = LayerKind::conv,
                .name = name,
                .part = {},
                .kernel = kernel,
                .stride = stride,
                .padding = padding,
                .groups = groups},
               in, {out, size});
}

Flow LayerWriter::norm(const std::string& name, Flow in) {
    return add({.kind = LayerKind::batch_norm, .name = name, .part = {}, .affine = affine_}, in, in);
}

Flow LayerWriter::same(LayerKind kind, const std::string& name, Flow in, double rate) {
    return add({.kind = kind, .name = name, .part = {}, .rate = rate}, in, in);
}

Flow LayerWriter::move(LayerKind kind, const std::string& name, Flow in, int out) {
    return add({.kind = kind, .name = name, .part = {}}, in, {out, in.size});
}

Flow LayerWriter::pool(const std::string& name, Flow in) {
    return add({.kind = LayerKind::global_avg_pool, .name = name, .part = {}, .kernel = in.size}, in, {in.channels, 1});
}

Flow LayerWriter::linear(const std::string& name, Flow in, int out, bool bias) {
    return add({.kind = LayerKind::linear, .name = name, .part = {}, .bias = bias}, in, {out, 1});
}

}  // namespace nascent::chain
