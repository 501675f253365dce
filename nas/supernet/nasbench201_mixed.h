// The NAS-Bench-201 supernet whose edges are all five operators at once, weighed by what a rule makes of architecture
// parameters that all cells share (their softmax: DARTS on NAS-Bench-201, Dong and Yang, ICLR 2020), or one of them.
#pragma once
#include "nas/supernet/nasbench201.h"
#include "nas/supernet/search_net.h"
#include "ops/weighed_cell.h"

namespace nascent {

class Nb201MixedNet : public Nb201Supernet, public SearchNet {
  public:
    struct Cells {
        bool track = true;  // running statistics (the daggered rows of the paper's table); else always the batch's
        PartialChannels partial = {};
        bool edge_weights = false;  // PC-DARTS's betas: edges are weighed too, and with them what goes round
    };
    /// Batch-norms of searched cells without affine. Throws Error(usage) where `partial` does not divide the channels.
    Nb201MixedNet(Device& device, DType dtype, const nb201::NetConfig& config, const Cells& cells);

    ParameterStore& store() override { return Nb201Supernet::store(); }
    const ParameterStore& store() const { return Nb201Supernet::store(); }
    std::vector<Tensor> logits_of_copies(const Tensor& x, bool training) override;
    /// (6, 5): a row per edge in canonical order, a column per operator; then the betas (6, 1), where there are any.
    std::vector<int> alphas() const override {
        return betas_ < 0 ? std::vector{arch_parameters_} : std::vector{arch_parameters_, betas_};
    }
    std::vector<std::int64_t*> counters() override {
        std::vector<std::int64_t*> all;
        for (BatchCount& c : batch_counts()) all.push_back(&c.count);
        return all;
    }
    std::vector<std::vector<std::string>> operators() const override;

  private:
    Tensor mixed_cell(const Cell& cell, const Tensor& x, const ArchWeights& arch, const Tensor& ones, bool training);
    Cells shape_;
};

}  // namespace nascent
