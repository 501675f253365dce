// Paths through cells of all primitives: only the operators that a code names are computed.
#include "nas/supernet/darts.h"
#include "ops/reference.h"

namespace nascent {

Tensor DartsNet::run_path(const darts::Cell& cell, const Tensor& before, const Tensor& previous,
                          const darts::CellCode& path, bool training) {
    Scope scope("cell {}", cell.index);
    // The fused op knows no gamma and beta; it has all nodes side by side.
    if (!net_.search.affine && cell.concat.size() == darts::kNodes)
        return run_fused_path(cell, before, previous, path, training);
    std::vector<Tensor> states = {preprocessed(cell, 0, before, training), preprocessed(cell, 1, previous, training)};
    for (std::size_t place = 0; place < cell.edges.size(); place++) {
        if (path[place] == 0) continue;
        const darts::Edge& e = cell.edges[place];
        const Tensor y = apply(cell, static_cast<int>(place), path[place], states[static_cast<std::size_t>(e.from)],
                               e.stride, training);
        // Edges come by rising node, and every node of a valid code has an input.
        if (const auto to = static_cast<std::size_t>(e.to); states.size() == to)
            states.push_back(y);
        else
            states[to] = add(states[to], y);
    }
    std::vector<Tensor> outputs;
    for (int state : cell.concat) outputs.push_back(states[static_cast<std::size_t>(state)]);
    return concat(outputs);
}

Tensor DartsNet::forward(const Tensor& x, const darts::Code& path, bool training) {
    NASCENT_CHECK(darts::valid(path), usage, "the path {} has a node that has not two inputs", darts::to_string(path));
    for (const darts::Cell& cell : net_.cells)
        NASCENT_CHECK(cell.edges.size() == darts::kEdges && cell.edges[0].op < 0 && net_.search.partial == 1, runtime,
                      "paths are of networks with {} edges of all primitives in each cell", darts::kEdges);
    NASCENT_CHECK(store_.copies() == 1, runtime, "a path through {} copies of a network", store_.copies());
    return run(*group(darts::Part::head, -1, -1, -1), features(x, training, nullptr, &path), training);
}

}  // namespace nascent
