#include "nas/supernet/chain_state_dict.h"

#include <fmt/ranges.h>

#include <map>

namespace nascent {
namespace {
constexpr std::string_view counter_suffix = ".num_batches_tracked";
}

StateDict state_dict(const ChainNet& net, const Sgd* optimizer) {
    const ParameterStore& store = net.store();
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (const chain::StateEntry& e : chain::state_entries(net.net().layers)) shapes[e.name] = e.shape;
    StateDict state;
    each_parameter(store, optimizer, [&](int p, const std::byte* elements) {
        const std::string& name = store.parameters()[static_cast<std::size_t>(p)].name;
        state.set(name, {shapes.at(name), net.torch_order(p, elements)});
    });
    for (const Buffer& b : store.buffers()) state.set(b.name, {shapes.at(b.name), net.get(b.name)});
    for (const auto& c : net.batch_counts())
        state.set(c.module + std::string(counter_suffix), {{}, {static_cast<double>(c.count)}});
    return state;
}

void load(ChainNet& net, const StateDict& state, const std::string& source) {
    Scope scope("{}", source);
    const auto& all = state.entries();
    const std::string prefix = !all.empty() && all.begin()->first.starts_with("module.") ? "module." : "";
    std::map<std::string, ChainNet::BatchCount*> counts;
    for (ChainNet::BatchCount& c : net.batch_counts()) counts[c.module + std::string(counter_suffix)] = &c;
    std::size_t used = 0;
    for (const chain::StateEntry& e : chain::state_entries(net.net().layers)) {
        const auto found = all.find(prefix + e.name);
        if (found == all.end() && e.int64) continue;
        NASCENT_CHECK(found != all.end(), checkpoint, "there is no tensor '{}', which a network of the space {} has",
                      prefix + e.name, net.space().name);
        const StateDict::Entry& entry = found->second;
        std::size_t count = 1;
        for (std::int64_t extent : e.shape) count *= static_cast<std::size_t>(extent);
        NASCENT_CHECK(entry.shape == e.shape && entry.values.size() == count, checkpoint,
                      "tensor '{}' has the shape ({}), expected ({})", found->first, fmt::join(entry.shape, ", "),
                      fmt::join(e.shape, ", "));
        used++;
        if (e.int64)
            counts.at(e.name)->count = static_cast<std::int64_t>(entry.values[0]);
        else
            net.set(e.name, entry.values);
    }
    if (used == all.size()) return;
    std::map<std::string, bool> known;
    for (const chain::StateEntry& e : chain::state_entries(net.net().layers)) known[prefix + e.name] = true;
    for (const auto& [name, entry] : all)
        NASCENT_CHECK(known.contains(name), checkpoint, "tensor '{}' is not one of a network of the space {}", name,
                      net.space().name);
}

}  // namespace nascent
