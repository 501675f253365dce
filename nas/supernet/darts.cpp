#include "nas/supernet/darts.h"

#include <algorithm>

#include "nas/supernet/copies.h"
#include "ops/conv_norm.h"
#include "ops/picture_stem.h"
#include "ops/reference.h"
#include "ops/rounding.h"

namespace nascent {

using darts::Layer;
using darts::LayerKind;
using darts::Part;

DartsNet::DartsNet(Device& device, DType dtype, darts::Net net) : net_(std::move(net)), store_(device, dtype) {
    build();
    store_.allocate();
}

void DartsNet::build() {
    ids_.resize(net_.layers.size());
    Key before{};
    for (std::size_t i = 0; i < net_.layers.size(); i++) {
        const Layer& l = net_.layers[i];
        // The stems of ImageNet are stem0 and stem1.
        const int place = l.part == Part::stem && l.name.starts_with("stem1") ? 1 : l.part == Part::stem ? 0 : l.place;
        const Key key{l.part, l.cell, place, l.op};
        Group& g = groups_.try_emplace(key, Group{i, i}).first->second;
        NASCENT_CHECK(g.last == i, runtime, "layer '{}' stands apart from the others of its block", l.name);
        g.last = i + 1;
        if (i == 0 || key != before) store_.begin_range(l.name);
        before = key;
        Ids& ids = ids_[i];
        if (l.kind == LayerKind::conv) {
            const Shape dense{l.kernel.h, l.kernel.w, l.in, l.out}, each{l.kernel.h, l.kernel.w, l.in};
            NASCENT_CHECK(l.groups == 1 || (l.groups == l.in && l.in == l.out), runtime,
                          "'{}': {} groups of {} channels", l.name, l.groups, l.in);
            ids.weight = store_.add(l.name + ".weight", l.groups == 1 ? dense : each);
        } else if (l.kind == LayerKind::batch_norm) {
            if (l.affine) {
                ids.weight = store_.add(l.name + ".weight", {l.out});
                ids.bias = store_.add(l.name + ".bias", {l.out});
            }
            ids.count = static_cast<int>(batch_counts_.size());
            batch_counts_.push_back({l.name, 0});
            ids.mean = store_.add_buffer(l.name + ".running_mean", {l.out}, 0);
            ids.variance = store_.add_buffer(l.name + ".running_var", {l.out}, 1);
        } else if (l.kind == LayerKind::linear) {
            ids.weight = store_.add(l.name + ".weight", {l.out, l.in});
            ids.bias = store_.add(l.name + ".bias", {l.out});
        }
    }
    for (bool reduction : {false, true})
        for (const darts::Cell& cell : net_.cells)
            if (cell.reduction == reduction && !cell.edges.empty() && cell.edges[0].op < 0 && alphas_[reduction] < 0 &&
                !net_.search.affine) {
                const std::string name = reduction ? "alphas_reduce" : "alphas_normal";
                store_.begin_range(name);
                alphas_[reduction] =
                    store_.add(name, {static_cast<std::int64_t>(cell.edges.size()), net_.search.operators()});
            }
    for (bool reduction : {false, true}) {
        if (!net_.search.edge_weights || alphas_[reduction] < 0) continue;
        const std::string name = reduction ? "betas_reduce" : "betas_normal";
        const Shape alphas = store_.parameters()[static_cast<std::size_t>(alphas_[reduction])].shape;
        store_.begin_range(name);
        betas_[reduction] = store_.add(name, {alphas[0], 1});
    }
    if (!searches()) return;
    for (const darts::Cell& cell : net_.cells) mixed_.push_back(mixed(cell, {}));
}

const DartsNet::Group* DartsNet::group(Part part, int cell, int place, int op) const {
    const auto found = groups_.find({part, cell, place, op});
    return found == groups_.end() ? nullptr : &found->second;
}

Tensor DartsNet::conv(std::size_t layer, const Tensor& x) {
    const Layer& l = net_.layers[layer];
    const Tensor w = store_.read(ids_[layer].weight);
    if (l.groups > 1) return depthwise(x, w, l.stride.h, l.dilation);
    const kernels::WindowAxis h{l.kernel.h, l.stride.h, l.dilation, l.padding.h - l.skip, l.padding.h};
    const kernels::WindowAxis v{l.kernel.w, l.stride.w, l.dilation, l.padding.w - l.skip, l.padding.w};
    return conv2d(x, w, {h, v});
}

Tensor DartsNet::run(const Group& g, Tensor x, bool training) {
    for (std::size_t i = g.first; i < g.last; i++) {
        const Layer& l = net_.layers[i];
        const Ids& ids = ids_[i];
        auto parameter = [&](int id) { return id < 0 ? Tensor{} : store_.read(id); };
        Scope scope("{}", l.name);
        switch (l.kind) {
            case LayerKind::relu:
                x = relu(x);
                break;
            case LayerKind::conv:
                if (l.part == Part::stem && i + 1 < g.last && net_.layers[i + 1].affine) {  // 3x3 and its batch-norm
                    const Ids& norm = ids_[++i];
                    x = conv_norm(x, store_.read(ids.weight), store_.read(norm.weight), store_.read(norm.bias),
                                  {store_.buffer(norm.mean), store_.buffer(norm.variance), training}, l.stride.h);
                } else if (i + 1 < g.last && net_.layers[i + 1].skip > 0) {  // the two halves of a FactorizedReduce
                    const Tensor halves[] = {conv(i, x), conv(i + 1, x)};
                    x = concat(halves);
                    i++;
                } else {
                    x = conv(i, x);
                }
                break;
            case LayerKind::batch_norm:
                x = batch_norm(x, parameter(ids.weight), parameter(ids.bias),
                               {store_.buffer(ids.mean), store_.buffer(ids.variance), training});
                break;
            case LayerKind::max_pool:
                x = max_pool(x, l.kernel.h, l.stride.h, l.padding.h);
                break;
            case LayerKind::avg_pool:
                x = avg_pool(x, l.kernel.h, l.stride.h, l.padding.h);
                break;
            case LayerKind::global_avg_pool:
                x = global_avg_pool(read(x));
                break;
            case LayerKind::linear:
                if (x.shape.rank() == 4) x = global_avg_pool(x);  // of maps of one pixel: their channels
                x = linear(x, parameter(ids.weight), parameter(ids.bias));
                break;
        }
    }
    return x;
}

Tensor DartsNet::apply(const darts::Cell& cell, int place, int op, const Tensor& x, int stride, bool training) {
    if (const Group* g = group(Part::edge, cell.index, place, op)) return run(*g, x, training);
    if (static_cast<darts::Op>(op) == darts::Op::none) return zero(x, stride);
    return x;
}

Tensor DartsNet::preprocessed(const darts::Cell& cell, int input, const Tensor& x, bool training) {
    const Group* g = group(Part::preprocess, cell.index, input, -1);
    NASCENT_CHECK(g, runtime, "cell {} has no preprocess{}", cell.index, input);
    return run(*g, x, training);
}

Tensor DartsNet::run_cell(const darts::Cell& cell, const Tensor& before, const Tensor& previous, const Tensor& weights,
                          bool training) {
    Scope scope("cell {}", cell.index);
    if (searches()) return run_mixed(cell, before, previous, weights, training);
    std::vector<Tensor> states = {preprocessed(cell, 0, before, training), preprocessed(cell, 1, previous, training)};
    for (std::size_t place = 0; place < cell.edges.size(); place++) {
        const darts::Edge& e = cell.edges[place];
        const Tensor y =
            apply(cell, static_cast<int>(place), e.op, states[static_cast<std::size_t>(e.from)], e.stride, training);
        const auto to = static_cast<std::size_t>(e.to);
        if (states.size() <= to)
            states.push_back(y);
        else
            states[to] = add(states[to], y);
    }
    std::vector<Tensor> outputs;
    for (int state : cell.concat) outputs.push_back(states[static_cast<std::size_t>(state)]);
    return concat(outputs);
}

std::pair<Tensor, Tensor> DartsNet::stems(const Tensor& x, bool training) {
    const Group* second = group(Part::stem, -1, 1, -1);
    std::vector<Tensor> ends;
    const Tensor pictures = as_activations(x);
    const Tensor first = stack_copies(store_, [&](int) {
        const Tensor y = run(*group(Part::stem, -1, 0, -1), pictures, training);
        if (second) ends.push_back(run(*second, y, training));
        return y;
    });
    if (!second) return {first, first};
    return {first, ends.size() == 1 ? ends[0] : stack(ends)};
}

std::vector<int> DartsNet::alphas() const {
    std::vector<int> all;
    for (const auto& of : {alphas_, betas_})
        for (bool reduction : {false, true})
            if (of[reduction] >= 0) all.push_back(of[reduction]);
    return all;
}

Tensor DartsNet::chain(const Tensor& x, bool training) {
    NASCENT_CHECK(groups_.size() == 1, runtime, "a network of {} parts is no chain", groups_.size());
    return run(groups_.begin()->second, x, training);
}

Tensor DartsNet::features(const Tensor& x, bool training, Tensor* auxiliary, const darts::Code* path) {
    const int size = net_.config.input_size;
    NASCENT_CHECK(x.shape.rank() == 4 && x.shape == Shape({x.shape[0], size, size, 3}), runtime,
                  "expected pictures (n, {0}, {0}, 3), got {1}", size, x.shape.text());
    Tensor weights[2];
    for (bool reduction : {false, true})
        if (!path && alphas_[reduction] >= 0) {
            const ArchWeights w = arch_weights(alphas_[reduction], reduction);
            NASCENT_CHECK(!w.sums, runtime, "cells of the space darts add no bare sums to their nodes");
            weights[reduction] = w.weights;
            build_mixed(reduction, w.kept);
            chosen_[reduction] = w.chosen;
            if (betas_[reduction] >= 0)
                weights[reduction] = edge_weights(w.weights, store_.read(betas_[reduction]), net_.search.nodes);
        }
    if (training && !store_.buffers_replaced()) count_batch(path, auxiliary != nullptr);
    auto [before, previous] = stems(x, training);
    for (const darts::Cell& cell : net_.cells) {
        const Tensor& first = cell.twice ? previous : before;
        Tensor y = path ? run_path(cell, first, previous, path->cell(cell.reduction), training)
                        : run_cell(cell, first, previous, weights[cell.reduction], training);
        before = std::exchange(previous, y);
        if (auxiliary && training && cell.index == net_.auxiliary_cell)
            *auxiliary = run(*group(Part::auxiliary, -1, -1, -1), y, training);
    }
    return previous;
}

DartsNet::Output DartsNet::forward(const Tensor& x, bool training) {
    Output output;
    const Tensor y = features(x, training, &output.auxiliary);
    output.logits = run(*group(Part::head, -1, -1, -1), y, training);
    return output;
}

std::vector<Tensor> DartsNet::logits_of_copies(const Tensor& x, bool training) {
    return for_copies(store_, features(x, training, nullptr),
                      [&](const Tensor& y, int) { return run(*group(Part::head, -1, -1, -1), y, training); });
}

}  // namespace nascent
