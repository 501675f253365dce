// The networks of ShuffleNetV2's and MobileNet's spaces, all operators of every block or those of one architecture, as
// the description (nas/space/chain_net.h) lists their layers. A pass computes what its path names and nothing else, in
// pieces: the stem (with MobileNet's fixed MBConv), a block with an operator, the head. Each is one range of parameters
// and, where the device captures, has a place of its own (engine/memory/slots.h).
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "engine/memory/parameter_store.h"
#include "nas/space/chain_net.h"
#include "nas/supernet/nasbench201.h"
#include "ops/pool_linear.h"

namespace nascent {

struct NormedConv;

/// What batch norms normalise by and what becomes of running statistics.
enum class NormMode : std::uint8_t {
    training,  // the batch's; running ones move by Pass::momentum
    pooled,    // the batch's; running ones are of all pictures so far, of which the batch is the share Pass::momentum
    batch,     // the batch's; nothing moves
    running,   // the running ones; such a pass has no backward
};

/// Running statistics, (channels) each.
struct NormStatistics {
    Tensor mean, variance;
};
/// Those of a piece's batch norms, in the order of its layers.
using PieceStatistics = std::vector<NormStatistics>;

/// How a pass is computed.
struct ChainPass {
    NormMode norms = NormMode::training;
    /// training: as torch's; the original's calibration is 0.1 from mean 0 and variance 1. With n_i / (n_1 + ... + n_i)
    /// the statistics of batches of n_i pictures become, in `training`, the mean of the batches' means and of their
    /// unbiased variances (MMRazor's CalibrateBNMixin), and in `pooled` those of all the pictures as if in one batch.
    double momentum = 0.1;
    /// Stand in for the network's own running statistics where not empty, so that those neither move nor count: of the
    /// piece, or in forward() of the stem, the blocks and the head. Must outlive the pass.
    std::span<PieceStatistics> statistics = {};
    /// Dropout happens where this is given and the network has any (Style::dropout).
    std::optional<DropoutKey> dropout = {};
};

/// A part of the network that passes go through as a whole. `op` is an operator's id.
struct ChainPiece {
    chain::Part part = chain::Part::stem;
    int block = -1, op = -1, scale = chain::kUnscaled;
};

class ChainNet {
  public:
    using Pass = ChainPass;
    using Piece = ChainPiece;

    /// Parameters are zero until set() or initialise_chain() (nas/supernet/chain_start.h); running statistics 0 and 1.
    ChainNet(Device& device, DType dtype, chain::Net net);

    /// Logits (n, classes) of pictures x (n, s, s, 3), in the current execution. Throws Error(usage) for a path that is
    /// not in the space or not a subnet's own.
    Tensor forward(const Tensor& x, const chain::Architecture& path, const Pass& pass);
    /// The same of a subnet.
    Tensor forward(const Tensor& x, const Pass& pass);

    /// The pieces, one after another the same as forward(). With channel scales a supernet's operator has its widest
    /// inner width, and a scale reads the first channels of it: of each weight's inner dimensions, and of its batch
    /// norms. Gradients of the others are 0.
    Tensor stem(const Tensor& x, const Pass& pass);
    Tensor block(int index, int op, int scale, const Tensor& x, const Pass& pass);
    Tensor head(const Tensor& x, const Pass& pass);
    /// Says that a path's parameters are read next (ParameterStore::read_ahead); forward() does so itself.
    void read_ahead(const chain::Architecture& path);

    /// New statistics of a piece in memory of `arena`: mean 0 and variance 1.
    PieceStatistics statistics(const Piece& piece, Arena& arena) const;
    /// Of the stem, a path's blocks and the head.
    std::vector<PieceStatistics> statistics(const chain::Architecture& path, Arena& arena) const;
    std::vector<Piece> pieces(const chain::Architecture& path) const;

    const chain::Net& net() const { return net_; }
    const chain::Space& space() const { return net_.space; }
    bool is_supernet() const { return !net_.arch; }
    ParameterStore& store() { return store_; }
    const ParameterStore& store() const { return store_; }
    /// The range of a piece's parameters; -1: it has none (a true identity).
    int range(const Piece& piece) const;
    /// How often each batch norm's own statistics moved (PyTorch's num_batches_tracked), by the module's name.
    using BatchCount = Nb201Supernet::BatchCount;
    std::vector<BatchCount>& batch_counts() { return batch_counts_; }
    const std::vector<BatchCount>& batch_counts() const { return batch_counts_; }

    /// A parameter or buffer by its name in the state dict, in PyTorch's layout: convolutions (out, in / groups, k, k).
    /// Throws Error(runtime) for a name that is none or another number of values.
    void set(const std::string& name, std::span<const double> values);
    std::vector<double> get(const std::string& name) const;
    /// Values that lie as the parameter's do (its gradient, say), in PyTorch's layout.
    std::vector<double> torch_order(const std::string& name, const Tensor& values) const;
    /// Values of the network's type in host memory that lie as parameter number `parameter` does.
    std::vector<double> torch_order(int parameter, const void* host) const;

  private:
    struct Unit {                        // a convolution and its batch norm
        std::size_t conv = 0, norm = 0;  // layers
        int weight = -1, gamma = -1, beta = -1, mean = -1, variance = -1, count = -1;
        chain::Branch branch = chain::Branch::trunk;
        std::size_t place = 0;  // of the norm among the piece's
    };
    struct Group {
        int range = -1;
        std::vector<Unit> units;  // in the order of the layers
        bool residual = false;
    };
    using Key = std::tuple<chain::Part, int, int>;  // part, block, op
    struct Width {
        int in, out;
    };

    void build();
    Unit add_unit(std::size_t conv, std::size_t norm, std::size_t place);
    const Group* group(chain::Part part, int block, int op) const;
    const Group* group(const Piece& piece) const;
    /// Of a group's convolutions at a scale.
    const std::vector<Width>& widths(const Group& group, int block, int op, int scale) const;
    void check_block(int index, int op, int scale) const;
    NormedConv unit(const Unit& unit, const Width& width, const Pass& pass);
    std::vector<NormedConv> units(const Group& group, const std::vector<Width>& widths, chain::Branch branch,
                                  const Pass& pass);
    /// `pass` for piece number `piece` of forward().
    static Pass of_piece(const Pass& pass, std::size_t piece);
    static void check_statistics(const Pass& pass, std::size_t norms);
    Tensor tensor(const std::string& name) const;

    chain::Net net_;
    ParameterStore store_;
    std::map<Key, Group> groups_;
    mutable std::map<std::tuple<int, int, int>, std::vector<Width>> widths_;  // by block, op, scale
    std::size_t pool_ = 0, linear_ = 0;                                       // layers of the head
    int classifier_ = -1, classifier_bias_ = -1;
    double dropout_ = 0;
    std::vector<BatchCount> batch_counts_;
};

}  // namespace nascent
