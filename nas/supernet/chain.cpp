#include "nas/supernet/chain.h"

#include <algorithm>
#include <mutex>

#include "ops/conv_act.h"
#include "ops/mbconv.h"
#include "ops/reference.h"
#include "ops/shuffle_block.h"

namespace nascent {

using chain::Branch;
using chain::Layer;
using chain::LayerKind;
using chain::Part;
using kernels::Activation;

namespace {

Tensor seen_as(Tensor t, const Shape& shape) {
    t.shape = shape;
    return t;
}

/// The first channels of a weight (1, 1, in, out) or (k, k, c), or of a vector (c).
Tensor sliced(const Tensor& w, int in, int out) {
    const Shape& s = w.shape;
    if (s.rank() == 1) return s[0] == out ? w : slice_pictures(w, 0, out);
    if (s.rank() == 3)
        return s[2] == out ? w : seen_as(slice_channels(seen_as(w, {1, s[0], s[1], s[2]}), 0, out), {s[0], s[1], out});
    Tensor rows = w;
    if (s[2] != in) rows = seen_as(slice_pictures(seen_as(w, {s[2], s[3]}), 0, in), {1, 1, in, s[3]});
    return s[3] == out ? rows : slice_channels(rows, 0, out);
}

Tensor first_channels(Tensor t, int count) {
    if (t.defined()) t.shape = {count};
    return t;
}

}  // namespace

ChainNet::ChainNet(Device& device, DType dtype, chain::Net net) : net_(std::move(net)), store_(device, dtype) {
    build();
    store_.allocate();
}

ChainNet::Unit ChainNet::add_unit(std::size_t conv, std::size_t norm, std::size_t place) {
    const Layer &c = net_.layers[conv], &n = net_.layers[norm];
    NASCENT_CHECK(n.kind == LayerKind::batch_norm && n.out == c.out, runtime, "'{}' has no batch norm behind it",
                  c.name);
    NASCENT_CHECK(c.groups == 1 || (c.groups == c.in && c.in == c.out), runtime, "'{}': {} groups of {} channels",
                  c.name, c.groups, c.in);
    Unit u{.conv = conv, .norm = norm, .branch = c.branch, .place = place};
    u.weight = store_.add(c.name + ".weight",
                          c.groups == 1 ? Shape{c.kernel, c.kernel, c.in, c.out} : Shape{c.kernel, c.kernel, c.in});
    if (n.affine) {
        u.gamma = store_.add(n.name + ".weight", {n.out});
        u.beta = store_.add(n.name + ".bias", {n.out});
    }
    u.mean = store_.add_buffer(n.name + ".running_mean", {n.out}, 0);
    u.variance = store_.add_buffer(n.name + ".running_var", {n.out}, 1);
    u.count = static_cast<int>(batch_counts_.size());
    batch_counts_.push_back({n.name, 0});
    return u;
}

void ChainNet::build() {
    for (std::size_t i = 0; i < net_.layers.size(); i++) {
        const Layer& l = net_.layers[i];
        Group& g = groups_[{l.part, l.block, l.op}];
        if (l.kind == LayerKind::add) g.residual = true;
        if (l.kind != LayerKind::conv && l.kind != LayerKind::linear) continue;
        if (g.range < 0) g.range = store_.begin_range(l.name);
        NASCENT_CHECK(g.range + 1 == static_cast<int>(store_.ranges().size()), runtime,
                      "layer '{}' stands apart from the others of its piece", l.name);
        if (l.kind == LayerKind::conv) {
            NASCENT_CHECK(i + 1 < net_.layers.size(), runtime, "'{}' has no batch norm behind it", l.name);
            g.units.push_back(add_unit(i, i + 1, g.units.size()));
        } else {
            classifier_ = store_.add(l.name + ".weight", {l.out, l.in});
            if (l.bias) classifier_bias_ = store_.add(l.name + ".bias", {l.out});
        }
    }
    dropout_ = net_.style.dropout;
}

const ChainNet::Group* ChainNet::group(Part part, int block, int op) const {
    const auto found = groups_.find({part, block, op});
    return found == groups_.end() ? nullptr : &found->second;
}
const ChainNet::Group* ChainNet::group(const Piece& p) const {
    if (p.part != Part::block) return group(p.part, -1, -1);
    check_block(p.block, p.op, p.scale);
    return group(p.part, p.block, p.op);
}
int ChainNet::range(const Piece& piece) const {
    const Group* g = group(piece);
    return g ? g->range : -1;
}

void ChainNet::check_block(int index, int op, int scale) const {
    const chain::Space& s = net_.space;
    NASCENT_CHECK(index >= 0 && index < static_cast<int>(s.blocks.size()), usage, "block {}: the space {} has {}",
                  index, s.name, s.blocks.size());
    const std::vector<int>& ops = s.blocks[static_cast<std::size_t>(index)].ops;
    NASCENT_CHECK(std::find(ops.begin(), ops.end(), op) != ops.end(), usage, "block {} has no operator {}", index, op);
    const int first = s.channels ? s.config.first_scale : chain::kUnscaled,
              last = s.channels ? s.config.last_scale : chain::kUnscaled;
    NASCENT_CHECK(scale >= first && scale <= last, usage, "block {}: scale {}, expected {} to {}", index, scale, first,
                  last);
    if (!net_.arch) return;
    const auto i = static_cast<std::size_t>(index);
    const int own = net_.arch->scales.empty() ? chain::kUnscaled : net_.arch->scales[i];
    NASCENT_CHECK(op == net_.arch->ops[i] && scale == own, usage,
                  "block {}: operator {} at scale {}, the subnet has {} at {}", index, op, scale, net_.arch->ops[i],
                  own);
}

const std::vector<ChainNet::Width>& ChainNet::widths(const Group& g, int block, int op, int scale) const {
    static std::mutex several;  // threads may compute pieces side by side
    std::lock_guard lock(several);
    auto [at, is_new] = widths_.try_emplace({block, op, scale});
    if (!is_new) return at->second;
    if (block < 0 || net_.arch || !net_.space.channels) {
        for (const Unit& u : g.units) at->second.push_back({net_.layers[u.conv].in, net_.layers[u.conv].out});
        return at->second;
    }
    const chain::Block& b = net_.space.blocks[static_cast<std::size_t>(block)];
    for (const Layer& l : chain::block_layers(net_.space, b, op, scale, net_.style))
        if (l.kind == LayerKind::conv) at->second.push_back({l.in, l.out});
    return at->second;
}

void ChainNet::check_statistics(const Pass& pass, std::size_t norms) {
    if (pass.statistics.empty()) return;
    NASCENT_CHECK(pass.statistics.size() == 1 && pass.statistics[0].size() == norms, runtime,
                  "statistics of {} pieces, the first of {} batch norms, for a piece of {}", pass.statistics.size(),
                  pass.statistics[0].size(), norms);
}

NormedConv ChainNet::unit(const Unit& u, const Width& width, const Pass& pass) {
    auto parameter = [&](int id) { return id < 0 ? Tensor{} : sliced(store_.read(id), width.in, width.out); };
    NormedConv c{parameter(u.weight), parameter(u.gamma), parameter(u.beta), {}};
    c.norm.training = pass.norms != NormMode::running;
    c.norm.pooled = pass.norms == NormMode::pooled;
    c.norm.momentum = pass.norms == NormMode::training || c.norm.pooled ? pass.momentum : 0.1;
    if (pass.norms == NormMode::batch) return c;
    if (!pass.statistics.empty()) {
        const NormStatistics& s = pass.statistics[0][u.place];
        c.norm.running_mean = s.mean;
        c.norm.running_var = s.variance;
        NASCENT_CHECK(s.mean.shape == Shape({width.out}) && s.variance.shape == s.mean.shape, runtime,
                      "statistics {} for '{}' of {} channels", s.mean.shape.text(), net_.layers[u.norm].name,
                      width.out);
        return c;
    }
    c.norm.running_mean = first_channels(store_.buffer(u.mean), width.out);
    c.norm.running_var = first_channels(store_.buffer(u.variance), width.out);
    if (c.norm.training && !store_.buffers_replaced()) batch_counts_[static_cast<std::size_t>(u.count)].count++;
    return c;
}

std::vector<NormedConv> ChainNet::units(const Group& g, const std::vector<Width>& widths, Branch branch,
                                        const Pass& pass) {
    std::vector<NormedConv> convs;
    for (const Unit& u : g.units)
        if (u.branch == branch) convs.push_back(unit(u, widths[u.place], pass));
    return convs;
}

Tensor ChainNet::stem(const Tensor& x, const Pass& pass) {
    const int size = net_.space.config.input_size;
    NASCENT_CHECK(x.shape.rank() == 4 && x.shape == Shape({x.shape[0], size, size, 3}), runtime,
                  "expected pictures (n, {0}, {0}, 3), got {1}", size, x.shape.text());
    BlockScope place(0);
    Scope scope("stem");
    const Group& g = *group(Part::stem, -1, -1);
    check_statistics(pass, g.units.size());
    const bool mobile = net_.space.family == chain::Family::mobilenet;
    const std::vector<Width>& w = widths(g, -1, 0, 0);
    const Tensor y = conv_act(x, unit(g.units[0], w[0], pass), mobile ? Activation::relu6 : Activation::relu, 2);
    return mobile ? mbconv(y, 1, units(g, w, Branch::main, pass)) : y;
}

Tensor ChainNet::block(int index, int op, int scale, const Tensor& x, const Pass& pass) {
    check_block(index, op, scale);
    BlockScope place(static_cast<std::size_t>(index) + 1);
    Scope scope("block {}, operator {}", index, op);
    const Group* g = group(Part::block, index, op);
    check_statistics(pass, g ? g->units.size() : 0);
    if (!g || g->units.empty()) return x;
    const chain::Block& b = net_.space.blocks[static_cast<std::size_t>(index)];
    const std::vector<Width>& w = widths(*g, index, op, scale);
    const std::vector<NormedConv> main = units(*g, w, Branch::main, pass);
    if (net_.space.op(op).kind == chain::OpKind::identity) return conv_act(x, main.at(0), Activation::none, b.stride);
    if (net_.space.family == chain::Family::mobilenet) return mbconv(x, b.stride, main);
    const bool halves = net_.space.rules == chain::Rules::mmrazor;
    return shuffle_block(x, halves ? ShuffleOrder::halves : ShuffleOrder::parity, b.stride, main,
                         units(*g, w, Branch::projection, pass));
}

Tensor ChainNet::head(const Tensor& x, const Pass& pass) {
    BlockScope place(net_.space.blocks.size() + 1);
    Scope scope("head");
    const Group& g = *group(Part::head, -1, -1);
    check_statistics(pass, g.units.size());
    const bool mobile = net_.space.family == chain::Family::mobilenet;
    const Tensor y =
        conv_act(x, unit(g.units[0], widths(g, -1, 1, 0)[0], pass), mobile ? Activation::relu6 : Activation::relu);
    Tensor mask;
    if (pass.dropout && dropout_ > 0) mask = dropout_mask({y.shape[0], y.shape[3]}, y.dtype, dropout_, *pass.dropout);
    return pool_linear(y, mask, store_.read(classifier_),
                       classifier_bias_ < 0 ? Tensor{} : store_.read(classifier_bias_));
}

ChainNet::Pass ChainNet::of_piece(const Pass& pass, std::size_t piece) {
    Pass one = pass;
    if (!pass.statistics.empty()) one.statistics = pass.statistics.subspan(piece, 1);
    return one;
}

std::vector<ChainNet::Piece> ChainNet::pieces(const chain::Architecture& path) const {
    chain::validate(net_.space, path);
    std::vector<Piece> all{{}};
    for (std::size_t i = 0; i < path.ops.size(); i++)
        all.push_back(
            {Part::block, static_cast<int>(i), path.ops[i], path.scales.empty() ? chain::kUnscaled : path.scales[i]});
    all.push_back({Part::head, -1, -1, chain::kUnscaled});
    return all;
}

void ChainNet::read_ahead(const chain::Architecture& path) {
    std::vector<int> parameters;
    for (const Piece& p : pieces(path))
        if (const Group* g = group(p); g && !g->units.empty()) parameters.push_back(g->units[0].weight);
    store_.read_ahead(parameters);
}

Tensor ChainNet::forward(const Tensor& x, const chain::Architecture& path, const Pass& pass) {
    const std::vector<Piece> all = pieces(path);
    NASCENT_CHECK(pass.statistics.empty() || pass.statistics.size() == all.size(), runtime,
                  "statistics of {} pieces for a path of {}", pass.statistics.size(), all.size());
    read_ahead(path);
    Tensor y = stem(x, of_piece(pass, 0));
    for (std::size_t i = 1; i + 1 < all.size(); i++)
        y = block(all[i].block, all[i].op, all[i].scale, y, of_piece(pass, i));
    return head(y, of_piece(pass, all.size() - 1));
}

Tensor ChainNet::forward(const Tensor& x, const Pass& pass) {
    NASCENT_CHECK(net_.arch, usage, "a supernet computes paths, and none was given");
    return forward(x, *net_.arch, pass);
}

PieceStatistics ChainNet::statistics(const Piece& piece, Arena& arena) const {
    const Group* g = group(piece);
    PieceStatistics all;
    if (!g || g->units.empty()) return all;
    const bool inside = piece.part == Part::block;
    const std::vector<Width>& w =
        inside ? widths(*g, piece.block, piece.op, piece.scale) : widths(*g, -1, piece.part == Part::head, 0);
    // One copy for all.
    std::int64_t channels = 0;
    for (const Width& each : w) channels += each.out;
    const Tensor together = arena.tensor({2 * channels}, store_.dtype());
    with_type(together.dtype, [&](auto zero) {
        using T = decltype(zero);
        std::vector<T> host(together.size(), T(0));
        std::fill(host.begin() + channels, host.end(), T(1));
        arena.device().copy_in(together.data, host.data(), together.bytes());
    });
    std::int64_t at = 0;
    auto part = [&](std::int64_t first, int count) {
        Tensor t = together;
        t.shape = {count};
        t.data = static_cast<std::byte*>(t.data) + static_cast<std::size_t>(first) * size_of(t.dtype);
        return t;
    };
    for (const Width& each : w) {
        all.push_back({part(at, each.out), part(channels + at, each.out)});
        at += each.out;
    }
    return all;
}

std::vector<PieceStatistics> ChainNet::statistics(const chain::Architecture& path, Arena& arena) const {
    std::vector<PieceStatistics> all;
    for (const Piece& p : pieces(path)) all.push_back(statistics(p, arena));
    return all;
}

}  // namespace nascent
