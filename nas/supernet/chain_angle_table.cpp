#include "nas/supernet/chain_angle_table.h"

#include <cstdlib>
#include <map>

namespace nascent {
namespace {

std::map<std::string, std::vector<std::int64_t>> shapes_of(const chain::Net& net) {
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (const chain::StateEntry& e : chain::state_entries(net.layers)) shapes[e.name] = e.shape;
    return shapes;
}

std::string said(const StateDict& state, const char* what, const std::string& source) {
    const auto found = state.metadata().find(what);
    NASCENT_CHECK(found != state.metadata().end(), checkpoint, "{}: says nothing of its {}", source, what);
    return found->second;
}

}  // namespace

chain::Net chain_supernet(const StateDict& state, const std::string& source) {
    Scope scope("{}", source);
    const std::string name = said(state, "space", source);
    chain::Config config;
    config.input_size = std::atoi(said(state, "input_size", source).c_str());
    try {
        const std::string classifier = chain::supernet_style(chain::space(name)).classifier + ".weight";
        const StateDict::Entry& e = state.at(classifier);
        NASCENT_CHECK(e.shape.size() == 2 && e.shape[0] >= 1 && e.shape[0] < 1'000'000, checkpoint,
                      "tensor '{}' has not the shape of a classifier's", classifier);
        config.classes = static_cast<int>(e.shape[0]);
        const chain::Net net = chain::supernet(chain::space(name, config));
        const auto shapes = shapes_of(net);
        for (const auto& [tensor, shape] : shapes)
            NASCENT_CHECK(state.at(tensor).shape == shape, checkpoint,
                          "tensor '{}' has another shape than the network's", tensor);
        for (const auto& [tensor, entry] : state.entries())
            NASCENT_CHECK(shapes.contains(tensor), checkpoint, "the network has no '{}'", tensor);
        return net;
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::usage) throw;
        fail(ErrorKind::checkpoint, "no supernet of a chain: {}", e.what());
    }
}

chain::AngleParts angle_parts(const chain::Net& net, const StateDict& initial, const StateDict& trained,
                              const std::string& initial_source, const std::string& trained_source) {
    Scope scope("angle between {} and {}", initial_source, trained_source);
    const auto shapes = shapes_of(net);
    return chain::angle_parts(
        net, [&](const std::string& name) { return angle_sums(initial, trained, name, shapes.at(name)); });
}

}  // namespace nascent
