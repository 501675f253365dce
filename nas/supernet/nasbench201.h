// The NAS-Bench-201 supernet: every operator of every edge of every cell, of which a forward pass computes what its
// path names and nothing else.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/autograd/execution.h"
#include "engine/memory/parameter_store.h"
#include "nas/space/nasbench201_net.h"
#include "ops/picture_stem.h"
#include "ops/sum_node.h"

namespace nascent {

/// One architecture per searched cell (15 in the benchmark's network); all alike where a cell is shared.
using Nb201Path = std::vector<nb201::Architecture>;

class Nb201Supernet {
  public:
    /// Parameters are zero until initialise() or a state dict is loaded. Affine batch-norm in searched cells by
    /// style.affine, untracked statistics by style.track_running_stats, architecture parameters (6, 5) in the store's
    /// last range by style.arch_parameters, and with `betas` (6, 1) in one behind it; convolution biases are not built:
    /// throws Error(usage). Networks with style.partial > 1 are run by Nb201MixedNet alone.
    Nb201Supernet(Device& device, DType dtype, const nb201::NetConfig& config,
                  const nb201::Style& style = nb201::kSupernet, bool betas = false);

    /// PyTorch's defaults: convolutions and the classifier (and its bias) uniform in +-1/sqrt(fan_in), batch-norm 1 and
    /// 0; running statistics 0 and 1. A pure function of the seed.
    void initialise(std::uint64_t seed);

    /// Logits (n, classes) of x (n, s, s, 3), s the configured size, in the current execution. Training uses batch
    /// statistics and moves the running ones of the batch-norms on the path.
    Tensor forward(const Tensor& x, std::span<const nb201::Architecture> path, bool training);
    /// The same of pictures as they lie on the device.
    Tensor forward(const PictureInput& pictures, std::span<const nb201::Architecture> path, bool training);
    /// Every edge the plain sum of its operators (`none` adds nothing).
    Tensor forward_all(const Tensor& x, bool training);

    const nb201::NetConfig& config() const { return config_; }
    const nb201::Style& style() const { return style_; }
    int search_cells() const { return static_cast<int>(cells_.size()); }
    ParameterStore& store() { return store_; }
    const ParameterStore& store() const { return store_; }
    /// How often each batch-norm saw a training batch (PyTorch's num_batches_tracked), by the module's name.
    struct BatchCount {
        std::string module;
        std::int64_t count = 0;
    };
    std::vector<BatchCount>& batch_counts() { return batch_counts_; }
    const std::vector<BatchCount>& batch_counts() const { return batch_counts_; }

  protected:
    struct Norm {
        int gamma = -1, beta = -1;     // parameters; -1: not affine
        int mean = -1, variance = -1;  // buffers; -1: not tracked
        int count = -1;                // into batch_counts_
    };
    struct ConvNormIds {
        int weight;
        Norm norm;
    };
    struct Cell {
        ConvNormIds convs[nb201::kEdges][2];  // 1x1, 3x3
    };
    struct Reduction {
        ConvNormIds a, b;
        int shortcut;
    };
    using CellOps = std::vector<nb201::CellText::Input>;  // of one node
    /// What searched cell `cell` makes of its input; `number` counts the blocks of fixed places.
    using SearchedCell = std::function<Tensor(std::size_t cell, const Tensor& x, std::size_t& number)>;

    void build(bool betas);
    int add_weight(const nb201::Layer& layer);
    Norm add_norm(const nb201::Layer& layer);
    ConvNormIds add_conv_norm(const std::string& conv, const std::string& norm);
    NormArgs norm_args(const Norm& norm, bool training);
    Tensor parameter(int index) { return index < 0 ? Tensor{} : store_.read(index); }
    Tensor node(const Cell& cell, int to, std::span<const Tensor> nodes, const CellOps& inputs, bool training);
    Tensor reduce(const Reduction& r, const Tensor& x, bool training);
    Tensor stem(const Tensor& x, bool training);
    Tensor stem(const PictureInput& pictures, bool training);
    /// Logits of each of the store's copies: the network around its searched cells, which get the copies side by side.
    /// Input is a Tensor or PictureInput.
    template <class Input>
    std::vector<Tensor> run_blocks(const Input& x, const SearchedCell& searched, bool training);
    template <class Input>
    Tensor run(const Input& x, const std::vector<nb201::CellText>& cells, bool training);
    /// Weights of convolutions and of the classifier, all that these cells and what stands around them read.
    std::vector<int> weights_of(const std::vector<nb201::CellText>& cells) const;

    nb201::NetConfig config_;
    nb201::Style style_;
    ParameterStore store_;
    std::vector<nb201::Block> blocks_;
    std::vector<nb201::Layer> layers_;
    std::vector<BatchCount> batch_counts_;
    ConvNormIds stem_;
    std::vector<Cell> cells_;
    std::vector<Reduction> reductions_;
    Norm lastact_;
    int classifier_weight_ = -1, classifier_bias_ = -1, arch_parameters_ = -1, betas_ = -1;
};

}  // namespace nascent
