// The networks of the DARTS space, searched or given by a genotype, as the description (nas/space/darts_net.h) lists
// their layers: cells to be searched as fused ops (ops/mixed_cell.h), the stem's convolution with its
// batch-norm as another, all else composed of primitive ones.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/memory/parameter_store.h"
#include "nas/space/darts_code.h"
#include "nas/space/darts_net.h"
#include "nas/supernet/nasbench201.h"
#include "nas/supernet/search_net.h"
#include "ops/mixed_cell.h"

namespace nascent {

class DartsNet : public SearchNet {
  public:
    /// Parameters are zero until set(). A network with edges of all primitives has alphas, (edges, 8) for the normal
    /// and for the reduction cells, in ranges of their own behind the weights. With affine batch norms (SearchCell::
    /// affine) it has none and only knows paths. Each operator of each edge is a range.
    DartsNet(Device& device, DType dtype, darts::Net net);

    struct Output {
        Tensor logits;     // (n, classes)
        Tensor auxiliary;  // the auxiliary head's, in training of a network that has one; else undefined
    };
    /// x (n, s, s, 3), in the current execution. Training uses batch statistics and moves the running ones. Paths are
    /// not dropped.
    Output forward(const Tensor& x, bool training);

    /// Logits of the network whose cells have the path's operators alone: of one with edges of all primitives, whose
    /// alphas play no part. Cells are one fused op each. Statistics move and gradients arise for operators on the path
    /// only. Throws Error(usage) for a path that is no valid() code, Error(runtime) for a
    /// network of other cells.
    Tensor forward(const Tensor& x, const darts::Code& path, bool training);

    /// All layers one after another, of a network that is one chain (an operator by itself).
    Tensor chain(const Tensor& x, bool training);

    const darts::Net& net() const { return net_; }
    ParameterStore& store() override { return store_; }
    const ParameterStore& store() const { return store_; }
    bool searches() const { return alphas_[0] >= 0 || alphas_[1] >= 0; }
    std::vector<Tensor> logits_of_copies(const Tensor& x, bool training) override;
    /// Of the normal and of the reduction cells, then their edges' betas where the network has them, (edges, 1) each;
    /// empty in an evaluation network.
    std::vector<int> alphas() const override;
    std::string differs() const override {
        return order_seed_ ? "channels are shuffled in an order of each forward" : "";
    }
    std::vector<std::vector<std::string>> operators() const override;
    /// With partial channels a node's channels are shuffled in an order drawn for it anew in every cell and pass of a
    /// step, not in groups. Throws Error(usage) where the network has none, or more than 512 channels.
    void shuffle_at_random(std::uint64_t seed);
    /// PyTorch's num_batches_tracked, by the module's name: of operators off the path, or not computed, it stands.
    using BatchCount = Nb201Supernet::BatchCount;
    std::vector<BatchCount>& batch_counts() { return batch_counts_; }
    const std::vector<BatchCount>& batch_counts() const { return batch_counts_; }
    std::vector<std::int64_t*> counters() override {
        std::vector<std::int64_t*> all;
        for (BatchCount& c : batch_counts()) all.push_back(&c.count);
        return all;
    }
    /// The parameter that holds the alphas; -1 in an evaluation network.
    int alphas(bool reduction) const { return alphas_[reduction]; }

    /// A parameter or buffer by its name in the state dict, in PyTorch's layout: convolutions (out, in / groups, k, k).
    /// Throws Error(runtime) for a name that is none or another number of values.
    void set(const std::string& name, std::span<const double> values);
    /// Values that lie as the parameter's do (its gradient, say), in PyTorch's layout.
    std::vector<double> torch_order(const std::string& name, const Tensor& values) const;
    std::vector<double> get(const std::string& name) const;
    /// Values of the network's type in host memory that lie as parameter number `parameter` does, in PyTorch's layout.
    std::vector<double> torch_order(int parameter, const void* host) const;

  private:
    struct Ids {  // parameters and buffers of a layer, -1 for none
        int weight = -1, bias = -1, mean = -1, variance = -1;
        int count = -1;  // into batch_counts_
    };
    struct Group {
        std::size_t first = 0, last = 0;  // layers
    };
    /// Appends the convolutions' and affine batch norms' parameters and the batch norms (layers) of a group, in order.
    void take(const Group* group, std::vector<int>& parameters, std::vector<std::size_t>& norms) const;
    struct Mixed {  // a cell of all primitives: what the fused op reads, in its order
        CellShape shape;
        std::vector<int> parameters;
        std::vector<std::size_t> norms;  // layers
    };

    using Key = std::tuple<darts::Part, int, int, int>;  // part, cell, place, operator

    void build();
    /// The searched cells with the operators that `arch` keeps; what they were built with is remembered.
    void build_mixed(bool reduction, const std::vector<bool>& kept);
    Mixed mixed(const darts::Cell& cell, const std::vector<bool>& kept) const;
    std::size_t layer_of(const std::string& name) const;
    const Group* group(darts::Part part, int cell, int place, int op) const;
    Tensor tensor(const std::string& name) const;
    /// A forward in training: counts the batch in all norms that it went through.
    void count_batch(const darts::Code* path, bool auxiliary);
    Tensor run(const Group& group, Tensor x, bool training);
    Tensor conv(std::size_t layer, const Tensor& x);
    Tensor apply(const darts::Cell& cell, int place, int op, const Tensor& x, int stride, bool training);
    Tensor run_cell(const darts::Cell& cell, const Tensor& before, const Tensor& previous, const Tensor& weights,
                    bool training);
    /// The cell of which each edge computes one operator, by the column of its weight.
    static Mixed only(const Mixed& all, const std::vector<int>& chosen, int columns);
    Tensor run_mixed(const darts::Cell& cell, const Tensor& before, const Tensor& previous, const Tensor& weights,
                     bool training);
    Tensor run_path(const darts::Cell& cell, const Tensor& before, const Tensor& previous, const darts::CellCode& path,
                    bool training);
    Tensor preprocessed(const darts::Cell& cell, int input, const Tensor& x, bool training);
    std::pair<Tensor, Tensor> stems(const Tensor& x, bool training);
    /// The last cell's output; sets `auxiliary` as in Output.
    Tensor features(const Tensor& x, bool training, Tensor* auxiliary, const darts::Code* path = nullptr);

    darts::Net net_;
    ParameterStore store_;
    std::vector<Ids> ids_;         // by layer
    std::map<Key, Group> groups_;  // the stems of ImageNet are two groups, by place
    std::vector<BatchCount> batch_counts_;
    std::vector<Mixed> mixed_;                 // by cell; none in evaluation networks
    std::vector<bool> kept_[2];                // what they were built with
    std::optional<std::uint64_t> order_seed_;  // of orders of channels
    std::vector<int> chosen_[2];  // of normal and reduction cells, for this forward: by edge; empty: all operators
    int alphas_[2] = {-1, -1}, betas_[2] = {-1, -1};
};

}  // namespace nascent
