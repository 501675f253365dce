// The spaces that are searched by gradients, as the search sees them: a network, what its alphas stand for, and what
// they say.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/json_text.h"
#include "nas/supernet/search_net.h"
#include "nas/supernet/state_dict.h"

namespace nascent {

/// Matrix by matrix, rows one after another; as SearchNet::alphas() orders them. Those of pruned operators are minus
/// infinity, and null in JSON.
using Alphas = std::vector<std::vector<double>>;

/// A matrix of alphas: a row per edge, a column per operator.
struct AlphaMatrix {
    std::string name;  // as in checkpoints and files
    std::vector<std::string> edges, operators;
    std::size_t size() const { return edges.size() * operators.size(); }
};

struct SearchSettings {
    std::string space = "darts";  // darts | nasbench201
    int classes = 10, size = 32, channels = 16;
    int layers = 8;     // darts
    int cells = 5;      // nasbench201: per stage
    bool track = true;  // nasbench201: running statistics in the searched cells
    int partial = 1;    // operators see one channel in so many
    bool shuffle = true;
    std::string stem = "cifar";                    // darts: cifar | imagenet
    std::optional<std::uint64_t> order_seed = {};  // darts: of random orders of channels
};

class SearchSpace {
  public:
    virtual ~SearchSpace() = default;
    virtual std::string name() const = 0;
    /// Parameters are zero. Throws Error(usage) for sizes the network cannot have.
    virtual std::unique_ptr<SearchNet> make_net(Device& device, DType dtype, const SearchSettings& settings) const = 0;
    /// Throws Error(usage) for sizes the network cannot have.
    virtual void check(const SearchSettings& settings) const = 0;
    virtual std::vector<AlphaMatrix> matrices() const = 0;

    struct Derived {
        std::string text;  // genotype or architecture, canonical
        int skips = 0;     // skip-connects: of the normal cell's eight genes, of the six edges
    };
    /// Throws Error(runtime) where an alpha is not finite.
    virtual Derived derive(const Alphas& alphas) const = 0;
    /// From how many skip-connects on a cell counts as collapsed.
    virtual int collapse_skips() const = 0;
    /// The network's parameters and statistics by PyTorch's names after so many training batches; weights that coast as
    /// they would be now.
    virtual StateDict state_of(const SearchNet& net, const Sgd& optimizer, std::int64_t batches) const = 0;
    /// Files about a derived text: names without folder, and contents.
    struct File {
        std::string name, content;
    };
    virtual std::vector<File> drawings(const std::string& text) const = 0;
    /// Adds parameters and MACs of the network that is trained with it, on so many classes.
    virtual void add_cost(JsonObject& to, const std::string& text, int classes) const = 0;
};

/// `darts` or `nasbench201`; throws Error(usage) with the nearest name. With `edge_weights` edges are weighed too, by
/// betas (PC-DARTS); without `none` that is no operator of darts (DrNAS), as it is always one of nasbench201.
const SearchSpace& search_space(const std::string& name, bool edge_weights = false, bool none = true);

/// {"space":...,NAME:[[...],...],...}, the file that `derive` reads.
std::string alphas_to_json(const SearchSpace& space, const Alphas& alphas);
struct SpaceAlphas {
    const SearchSpace* space;
    Alphas alphas;
};
/// Of a space with edge weights where the file has betas, without `none` where rows are one shorter. Throws Error(data)
/// naming `source` and what was expected.
SpaceAlphas alphas_from_json(const std::string& text, const std::string& source);

/// The softmax of the alphas over time, a strip per edge: stacked bands in the operators' colours, time to the right.
/// Matrices of one column are left out. SVG that stands alone. `history` has at least one entry.
std::string alpha_strip(const SearchSpace& space, const std::vector<Alphas>& history);

}  // namespace nascent
