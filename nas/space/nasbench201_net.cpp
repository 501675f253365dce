#include "nas/space/nasbench201_net.h"

#include "engine/base/error.h"

namespace nascent::nb201 {
namespace {

/// Appends layers block by block.
class Builder {
  public:
    Builder(const NetConfig& config, const Style& style) : style_(style), blocks_(net_blocks(config)) {}

    /// `cell(builder, block)` writes the layers of a searched cell.
    template <class Cell>
    std::vector<Layer> build(const Cell& cell) {
        for (const Block& b : blocks_) {
            switch (b.kind) {
                case BlockKind::stem:
                    conv(b.prefix + ".0", b.in_channels, b.out_channels, 3, b.out_size, false);
                    norm(b.prefix + ".1", b.out_channels, b.out_size, true, true);
                    break;
                case BlockKind::cell:
                    cell(*this, b);
                    break;
                case BlockKind::reduction:
                    // conv_a strides; the shortcut pools 2x2 first (downsample.0) and has no BN.
                    conv(b.prefix + ".conv_a.op.1", b.in_channels, b.out_channels, 3, b.out_size, false);
                    norm(b.prefix + ".conv_a.op.2", b.out_channels, b.out_size, true, true);
                    conv(b.prefix + ".conv_b.op.1", b.out_channels, b.out_channels, 3, b.out_size, false);
                    norm(b.prefix + ".conv_b.op.2", b.out_channels, b.out_size, true, true);
                    conv(b.prefix + ".downsample.1", b.in_channels, b.out_channels, 1, b.out_size, false);
                    break;
                case BlockKind::last_activation:
                    norm(b.prefix + ".0", b.out_channels, b.out_size, style_.lastact_affine, true);
                    break;
                case BlockKind::classifier:
                    layers_.push_back({.kind = LayerKind::linear,
                                       .name = b.prefix,
                                       .block = block_,
                                       .in = b.in_channels,
                                       .out = b.out_channels,
                                       .bias = true});
                    break;
            }
            ++block_;
        }
        return std::move(layers_);
    }

    /// The layers of one operator of a searched cell: op.0 is the ReLU, op.1 the convolution, op.2 the BN.
    void op(const std::string& name, std::size_t edge, Op op, const Block& b) {
        if (op != Op::nor_conv_1x1 && op != Op::nor_conv_3x3) return;
        std::size_t first = layers_.size();
        const int in = b.in_channels / style_.partial, out = b.out_channels / style_.partial;
        conv(name + ".op.1", in, out, op == Op::nor_conv_3x3 ? 3 : 1, b.out_size, style_.conv_bias);
        norm(name + ".op.2", out, b.out_size, style_.affine, style_.track_running_stats);
        for (std::size_t l = first; l < layers_.size(); ++l) {
            layers_[l].edge = static_cast<int>(edge);
            layers_[l].op = static_cast<int>(op);
        }
    }

  private:
    void conv(const std::string& name, int in, int out, int kernel, int size, bool bias) {
        layers_.push_back({.kind = LayerKind::conv,
                           .name = name,
                           .block = block_,
                           .in = in,
                           .out = out,
                           .kernel = kernel,
                           .out_size = size,
                           .bias = bias});
    }
    void norm(const std::string& name, int channels, int size, bool affine, bool track) {
        layers_.push_back({.kind = LayerKind::batch_norm,
                           .name = name,
                           .block = block_,
                           .in = channels,
                           .out = channels,
                           .out_size = size,
                           .affine = affine,
                           .track = track});
    }

    Style style_;
    std::vector<Block> blocks_;
    std::vector<Layer> layers_;
    int block_ = 0;
};

}  // namespace

std::vector<Block> net_blocks(const NetConfig& c) {
    NASCENT_CHECK(c.classes > 0 && c.channels > 0 && c.cells_per_stage > 0, usage,
                  "NAS-Bench-201 network: {} classes, {} channels, {} cells a stage; all must be positive", c.classes,
                  c.channels, c.cells_per_stage);
    NASCENT_CHECK(c.input_size > 0 && c.input_size % 4 == 0, usage,
                  "NAS-Bench-201 network: input size {}; it is halved twice and must be a multiple of 4", c.input_size);
    // Far above any use; keeps all counts of this file inside int and int64.
    NASCENT_CHECK(c.classes <= 1000000 && c.channels <= 4096 && c.cells_per_stage <= 1000 && c.input_size <= 4096,
                  usage, "NAS-Bench-201 network: {} classes, {} channels, {} cells a stage, input size {} is too large",
                  c.classes, c.channels, c.cells_per_stage, c.input_size);
    std::vector<Block> blocks;
    int width = c.channels, size = c.input_size, layer = 0, searched = 0;
    auto add = [&](BlockKind kind, const std::string& prefix, int in, int out) -> Block& {
        return blocks.emplace_back(Block{
            .kind = kind, .prefix = prefix, .in_channels = in, .out_channels = out, .in_size = size, .out_size = size});
    };
    add(BlockKind::stem, "stem", 3, width);
    for (int stage = 0; stage < 3; ++stage) {
        if (stage > 0) {
            Block& b = add(BlockKind::reduction, fmt::format("cells.{}", layer), width, 2 * width);
            b.layer = layer++;
            b.stride = 2;
            b.out_size = size /= 2;
            width *= 2;
        }
        for (int i = 0; i < c.cells_per_stage; ++i) {
            Block& b = add(BlockKind::cell, fmt::format("cells.{}", layer), width, width);
            b.layer = layer++;
            b.search_cell = searched++;
        }
    }
    add(BlockKind::last_activation, "lastact", width, width);
    Block& head = add(BlockKind::classifier, "classifier", width, c.classes);
    head.in_size = head.out_size = 1;
    return blocks;
}

std::int64_t Layer::weights() const {
    return kind == LayerKind::batch_norm ? 0 : std::int64_t{in} * out * kernel * kernel;
}

std::int64_t Layer::parameters() const {
    if (kind == LayerKind::batch_norm) return affine ? 2 * std::int64_t{out} : 0;
    return weights() + (bias ? out : 0);
}

std::vector<Layer> stand_alone_layers(const NetConfig& config, const Architecture& arch, const Style& style) {
    return Builder(config, style).build([&](Builder& to, const Block& b) {
        for (std::size_t e = 0; e < kEdges; ++e) to.op(fmt::format("{}.layers.{}", b.prefix, e), e, arch.ops[e], b);
    });
}

std::vector<Layer> supernet_layers(const NetConfig& config, const Style& style) {
    NASCENT_CHECK(style.partial >= 1 && config.channels % style.partial == 0, usage,
                  "NAS-Bench-201 network: operators see one channel in {}, which does not divide {}", style.partial,
                  config.channels);
    return Builder(config, style).build([&](Builder& to, const Block& b) {
        for (std::size_t e = 0; e < kEdges; ++e) {
            for (int op = 0; op < kOps; ++op) {
                std::string name = fmt::format("{}.edges.{}<-{}.{}", b.prefix, kEdgeList[e].to, kEdgeList[e].from, op);
                to.op(name, e, static_cast<Op>(op), b);
            }
        }
    });
}

std::int64_t parameter_count(const std::vector<Layer>& layers) {
    std::int64_t n = 0;
    for (const Layer& l : layers) n += l.parameters();
    return n;
}

std::vector<StateEntry> state_entries(const std::vector<Layer>& layers, const Style& style) {
    std::vector<StateEntry> entries;
    if (style.arch_parameters) entries.push_back({"arch_parameters", {kEdges, kOps}, true, false, -1});
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Layer& l = layers[i];
        auto add = [&](const char* leaf, std::vector<std::int64_t> shape, bool trained, bool int64 = false) {
            entries.push_back({l.name + leaf, std::move(shape), trained, int64, static_cast<int>(i)});
        };
        if (l.kind == LayerKind::batch_norm) {
            if (l.affine) add(".weight", {l.out}, true);
            if (l.affine) add(".bias", {l.out}, true);
            if (!l.track) continue;
            add(".running_mean", {l.out}, false);
            add(".running_var", {l.out}, false);
            add(".num_batches_tracked", {}, false, true);
        } else {
            if (l.kind == LayerKind::conv)
                add(".weight", {l.out, l.in, l.kernel, l.kernel}, true);
            else
                add(".weight", {l.out, l.in}, true);
            if (l.bias) add(".bias", {l.out}, true);
        }
    }
    return entries;
}

}  // namespace nascent::nb201
