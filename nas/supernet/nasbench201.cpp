#include "nas/supernet/nasbench201.h"

#include <algorithm>

#include "nas/supernet/copies.h"
#include "nas/supernet/initialise.h"
#include "ops/conv_norm.h"
#include "ops/head.h"
#include "ops/residual_block.h"
#include "ops/rounded_weights.h"

namespace nascent {

using nb201::Op;

Nb201Supernet::Nb201Supernet(Device& device, DType dtype, const nb201::NetConfig& config, const nb201::Style& style,
                             bool betas)
    : config_(config),
      style_(style),
      store_(device, dtype),
      blocks_(nb201::net_blocks(config)),
      layers_(nb201::supernet_layers(config, style)) {
    NASCENT_CHECK(!style.conv_bias && style.lastact_affine, usage,
                  "the supernet is built without convolution biases and with an affine lastact");
    build(betas);
    store_.allocate();
}

int Nb201Supernet::add_weight(const nb201::Layer& l) {
    return l.kind == nb201::LayerKind::linear ? store_.add(l.name + ".weight", {l.out, l.in})
                                              : store_.add(l.name + ".weight", {l.kernel, l.kernel, l.in, l.out});
}

Nb201Supernet::Norm Nb201Supernet::add_norm(const nb201::Layer& l) {
    Norm n;
    if (l.affine) {
        n.gamma = store_.add(l.name + ".weight", {l.out});
        n.beta = store_.add(l.name + ".bias", {l.out});
    }
    if (!l.track) return n;
    n.mean = store_.add_buffer(l.name + ".running_mean", {l.out}, 0);
    n.variance = store_.add_buffer(l.name + ".running_var", {l.out}, 1);
    n.count = static_cast<int>(batch_counts_.size());
    batch_counts_.push_back({l.name, 0});
    return n;
}

Nb201Supernet::ConvNormIds Nb201Supernet::add_conv_norm(const std::string& conv, const std::string& norm) {
    auto layer = [&](const std::string& name) {
        auto at = std::find_if(layers_.begin(), layers_.end(), [&](const nb201::Layer& l) { return l.name == name; });
        NASCENT_CHECK(at != layers_.end(), runtime, "the space has no layer '{}'", name);
        return *at;
    };
    ConvNormIds ids;
    ids.weight = add_weight(layer(conv));
    if (!norm.empty()) ids.norm = add_norm(layer(norm));
    return ids;
}

void Nb201Supernet::build(bool betas) {
    for (const nb201::Block& block : blocks_) {
        const std::string& p = block.prefix;
        switch (block.kind) {
            case nb201::BlockKind::stem:
                store_.begin_range(p);
                stem_ = add_conv_norm(p + ".0", p + ".1");
                break;
            case nb201::BlockKind::cell: {
                Cell& cell = cells_.emplace_back();
                for (int e = 0; e < nb201::kEdges; e++)
                    for (Op op : {Op::nor_conv_1x1, Op::nor_conv_3x3}) {
                        const auto [to, from] = nb201::kEdgeList[static_cast<std::size_t>(e)];
                        const std::string name = fmt::format("{}.edges.{}<-{}.{}", p, to, from, static_cast<int>(op));
                        store_.begin_range(name);
                        cell.convs[e][op == Op::nor_conv_3x3] = add_conv_norm(name + ".op.1", name + ".op.2");
                    }
                break;
            }
            case nb201::BlockKind::reduction: {
                store_.begin_range(p);
                Reduction r;
                r.a = add_conv_norm(p + ".conv_a.op.1", p + ".conv_a.op.2");
                r.b = add_conv_norm(p + ".conv_b.op.1", p + ".conv_b.op.2");
                r.shortcut = add_conv_norm(p + ".downsample.1", "").weight;
                reductions_.push_back(r);
                break;
            }
            case nb201::BlockKind::last_activation:
            case nb201::BlockKind::classifier:
                break;  // one op, one range: below
        }
    }
    store_.begin_range("head");
    for (const nb201::Layer& l : layers_) {
        const nb201::BlockKind kind = blocks_[static_cast<std::size_t>(l.block)].kind;
        if (kind == nb201::BlockKind::last_activation) lastact_ = add_norm(l);
        if (kind != nb201::BlockKind::classifier) continue;
        classifier_weight_ = add_weight(l);
        classifier_bias_ = store_.add(l.name + ".bias", {l.out});
    }
    if (!style_.arch_parameters) return;
    store_.begin_range("arch_parameters");
    arch_parameters_ = store_.add("arch_parameters", {nb201::kEdges, nb201::kOps});
    if (!betas) return;
    store_.begin_range("betas");
    betas_ = store_.add("betas", {nb201::kEdges, 1});
}

void Nb201Supernet::initialise(std::uint64_t seed) { nascent::initialise(store_, seed); }

NormArgs Nb201Supernet::norm_args(const Norm& n, bool training) {
    if (n.mean < 0) return {};  // not tracked: the batch's statistics in evaluation too
    if (training && !store_.buffers_replaced()) batch_counts_[static_cast<std::size_t>(n.count)].count++;
    return {store_.buffer(n.mean), store_.buffer(n.variance), training};
}

Tensor Nb201Supernet::node(const Cell& cell, int to, std::span<const Tensor> nodes, const CellOps& inputs,
                           bool training) {
    std::vector<Tensor> sources;
    std::vector<int> place(nodes.size(), -1);
    std::vector<EdgeTerm> terms;
    for (const auto& [op, from] : inputs) {
        if (op == Op::none) continue;
        int& at = place[static_cast<std::size_t>(from)];
        if (at < 0) {
            at = static_cast<int>(sources.size());
            sources.push_back(nodes[static_cast<std::size_t>(from)]);
        }
        EdgeTerm t{op == Op::skip_connect ? EdgeOp::skip : op == Op::avg_pool_3x3 ? EdgeOp::pool : EdgeOp::conv, at};
        if (t.op == EdgeOp::conv) {
            const ConvNormIds& c = cell.convs[nb201::edge_index(to, from)][op == Op::nor_conv_3x3];
            t.weight = parameter(c.weight);
            t.gamma = parameter(c.norm.gamma);
            t.beta = parameter(c.norm.beta);
            t.norm = norm_args(c.norm, training);
        }
        terms.push_back(t);
    }
    // A node without inputs is zero; it takes its shape from the cell's input and asks no gradient of it.
    if (sources.empty()) sources.push_back(nodes[0].detached());
    return sum_node(sources, terms);
}

Tensor Nb201Supernet::reduce(const Reduction& r, const Tensor& x, bool training) {
    const ResidualWeights w{parameter(r.a.weight), parameter(r.a.norm.gamma), parameter(r.a.norm.beta),
                            parameter(r.b.weight), parameter(r.b.norm.gamma), parameter(r.b.norm.beta),
                            parameter(r.shortcut)};
    return residual_block(x, w, norm_args(r.a.norm, training), norm_args(r.b.norm, training));
}

std::vector<int> Nb201Supernet::weights_of(const std::vector<nb201::CellText>& cells) const {
    std::vector<int> parameters{stem_.weight, classifier_weight_};
    for (const Reduction& r : reductions_) parameters.push_back(r.shortcut);
    for (std::size_t c = 0; c < cells.size(); c++)
        for (std::size_t to = 1; to <= cells[c].nodes.size(); to++)
            for (const auto& [op, from] : cells[c].nodes[to - 1])
                if (op == Op::nor_conv_1x1 || op == Op::nor_conv_3x3)
                    parameters.push_back(
                        cells_[c].convs[nb201::edge_index(static_cast<int>(to), from)][op == Op::nor_conv_3x3].weight);
    return parameters;
}

Tensor Nb201Supernet::stem(const Tensor& x, bool training) {
    const Shape wanted{x.shape.rank() == 4 ? x.shape[0] : 0, config_.input_size, config_.input_size, 3};
    NASCENT_CHECK(x.shape == wanted, runtime, "expected pictures (n, {0}, {0}, 3), got {1}", config_.input_size,
                  x.shape.text());
    return conv_norm(as_activations(x), parameter(stem_.weight), parameter(stem_.norm.gamma),
                     parameter(stem_.norm.beta), norm_args(stem_.norm, training));
}
Tensor Nb201Supernet::stem(const PictureInput& x, bool training) {
    const Shape wanted{x.pictures.shape[0], config_.input_size, config_.input_size, 3};
    NASCENT_CHECK(x.pictures.shape == wanted, runtime, "expected pictures (count, {0}, {0}, 3), got {1}",
                  config_.input_size, x.pictures.shape.text());
    return picture_stem(x, parameter(stem_.weight), parameter(stem_.norm.gamma), parameter(stem_.norm.beta),
                        norm_args(stem_.norm, training));
}

template <class Input>
std::vector<Tensor> Nb201Supernet::run_blocks(const Input& x, const SearchedCell& searched, bool training) {
    std::size_t number = 0;  // of the block that chooses, for fixed places
    Tensor y;
    {
        BlockScope place(number++);
        y = stack_copies(store_, [&](int) { return stem(x, training); });
    }
    std::size_t cell = 0, reduction = 0;
    for (const nb201::Block& block : blocks_) {
        Scope scope("{}", block.prefix);
        if (block.kind == nb201::BlockKind::reduction) {
            BlockScope place(number++);
            const Reduction& r = reductions_[reduction++];
            const std::vector<Tensor> each =
                for_copies(store_, y, [&](const Tensor& part, int) { return reduce(r, part, training); });
            y = each.size() == 1 ? each[0] : stack(each);
        }
        if (block.kind != nb201::BlockKind::cell) continue;
        y = searched(cell++, y, number);
    }
    BlockScope place(number);
    return for_copies(store_, y, [&](const Tensor& part, int) {
        return head(part,
                    {parameter(lastact_.gamma), parameter(lastact_.beta), parameter(classifier_weight_),
                     parameter(classifier_bias_)},
                    norm_args(lastact_, training));
    });
}
template std::vector<Tensor> Nb201Supernet::run_blocks(const Tensor&, const SearchedCell&, bool);

template <class Input>
Tensor Nb201Supernet::run(const Input& x, const std::vector<nb201::CellText>& cells, bool training) {
    const RoundedWeights rounded(store_, weights_of(cells));
    return run_blocks(
        x,
        [&](std::size_t cell, const Tensor& input, std::size_t& number) {
            std::vector<Tensor> nodes{input};
            for (int to = 1; to < nb201::kNodes; to++) {
                BlockScope place(number++);
                nodes.push_back(
                    node(cells_[cell], to, nodes, cells[cell].nodes[static_cast<std::size_t>(to) - 1], training));
            }
            return nodes.back();
        },
        training)[0];
}

namespace {
std::vector<nb201::CellText> cells_of(std::span<const nb201::Architecture> path, std::size_t cells) {
    NASCENT_CHECK(path.size() == cells, runtime, "the path has {} cells, the network {}", path.size(), cells);
    std::vector<nb201::CellText> texts;
    for (const nb201::Architecture& a : path) texts.push_back(nb201::to_cell(a));
    return texts;
}
}  // namespace

Tensor Nb201Supernet::forward(const Tensor& x, std::span<const nb201::Architecture> path, bool training) {
    return run(x, cells_of(path, cells_.size()), training);
}
Tensor Nb201Supernet::forward(const PictureInput& pictures, std::span<const nb201::Architecture> path, bool training) {
    return run(pictures, cells_of(path, cells_.size()), training);
}

Tensor Nb201Supernet::forward_all(const Tensor& x, bool training) {
    nb201::CellText all;
    for (int to = 1; to < nb201::kNodes; to++) {
        CellOps inputs;
        for (int from = 0; from < to; from++)
            for (int op = 1; op < nb201::kOps; op++) inputs.push_back({static_cast<Op>(op), from});
        all.nodes.push_back(inputs);
    }
    return run(x, std::vector<nb201::CellText>(cells_.size(), all), training);
}

}  // namespace nascent
