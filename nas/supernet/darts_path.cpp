// Paths through cells of all primitives: only the operators that a code names are computed.
#include "nas/supernet/darts.h"

namespace nascent {

Tensor DartsNet::forward(const Tensor& x, const darts::Code& path, bool training) {
    NASCENT_CHECK(darts::valid(path), usage, "the path {} has a node that has not two inputs", darts::to_string(path));
    for (const darts::Cell& cell : net_.cells)
        NASCENT_CHECK(cell.edges.size() == darts::kEdges && cell.edges[0].op < 0 && net_.search.partial == 1, runtime,
                      "paths are of networks with {} edges of all primitives in each cell", darts::kEdges);
    NASCENT_CHECK(store_.copies() == 1, runtime, "a path through {} copies of a network", store_.copies());
    return run(*group(darts::Part::head, -1, -1, -1), features(x, training, nullptr, &path), training);
}

}  // namespace nascent
