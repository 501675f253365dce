#include "nas/supernet/darts_state_dict.h"

#include <cstdio>
#include <map>

namespace nascent {

StateDict state_dict(const DartsNet& net, const Sgd* optimizer) {
    const ParameterStore& store = net.store();
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (const darts::StateEntry& e : darts::state_entries(net.net())) shapes[e.name] = e.shape;
    StateDict state;
    each_parameter(store, optimizer, [&](int p, const std::byte* elements) {
        const std::string& name = store.parameters()[static_cast<std::size_t>(p)].name;
        const auto shape = shapes.find(name);
        if (shape == shapes.end()) return;  // alphas are no part of the original state dicts
        state.set(name, {shape->second, net.torch_order(p, elements)});
    });
    for (const Buffer& b : store.buffers()) state.set(b.name, {shapes.at(b.name), net.get(b.name)});
    for (const DartsNet::BatchCount& c : net.batch_counts())
        state.set(c.module + ".num_batches_tracked", {{}, {static_cast<double>(c.count)}});
    return state;
}

darts::Net darts_supernet(const StateDict& state, int input_size, const std::string& source) {
    Scope scope("{}", source);
    const auto& all = state.entries();
    darts::NetConfig config;
    config.stem = all.contains("stem0.0.weight") ? darts::Stem::imagenet : darts::Stem::cifar;
    config.input_size = input_size;
    int cells = 0;
    for (const auto& [name, entry] : all) {
        int cell = 0;
        if (std::sscanf(name.c_str(), "cells.%d.", &cell) == 1 && cell >= 0 && cell < 1000)
            cells = std::max(cells, cell + 1);
    }
    auto first = [&](const std::string& name, std::size_t rank) {
        const StateDict::Entry& e = state.at(name);
        NASCENT_CHECK(e.shape.size() == rank && e.shape[0] > 0 && e.shape[0] < 1'000'000, checkpoint,
                      "tensor '{}' has not the shape of a DARTS supernet's", name);
        return static_cast<int>(e.shape[0]);
    };
    config.layers = cells;
    config.classes = first("classifier.weight", 2);
    config.channels = first("cells.0.preprocess1.op.1.weight", 4);
    const int stem = first(config.stem == darts::Stem::cifar ? "stem.0.weight" : "stem1.1.weight", 4);
    NASCENT_CHECK(stem % config.channels == 0, checkpoint, "a stem of {} channels before cells of {}", stem,
                  config.channels);
    config.stem_multiplier = stem / config.channels;
    try {
        return darts::search_net(config, {.affine = all.contains("cells.0.preprocess1.op.2.weight")});
    } catch (const Error& e) {
        fail(ErrorKind::checkpoint, "no DARTS supernet: {}", e.what());
    }
}

darts::AngleParts angle_parts(const darts::Net& net, const StateDict& initial, const StateDict& trained,
                              const std::string& initial_source, const std::string& trained_source) {
    Scope scope("angle between {} and {}", initial_source, trained_source);
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (const darts::StateEntry& e : darts::state_entries(net)) shapes[e.name] = e.shape;
    return darts::angle_parts(
        net, [&](const std::string& name) { return angle_sums(initial, trained, name, shapes.at(name)); });
}

}  // namespace nascent
