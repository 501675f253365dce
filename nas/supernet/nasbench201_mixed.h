// The NAS-Bench-201 supernet whose edges are all five operators at once, weighed by what a rule makes of architecture
// parameters that all cells share (their softmax: DARTS on NAS-Bench-201, Dong and Yang, ICLR 2020), or one of them.
#pragma once
#include "nas/supernet/nasbench201.h"
#include "nas/supernet/search_net.h"

namespace nascent {

class Nb201MixedNet : public Nb201Supernet, public SearchNet {
  public:
    /// Batch-norms of searched cells without affine; `track`: with running statistics (the daggered rows of the paper's
    /// table), or with the batch's in evaluation too.
    Nb201MixedNet(Device& device, DType dtype, const nb201::NetConfig& config, bool track);

    ParameterStore& store() override { return Nb201Supernet::store(); }
    const ParameterStore& store() const { return Nb201Supernet::store(); }
    std::vector<Tensor> logits_of_copies(const Tensor& x, bool training) override;
    /// One, (6, 5): a row per edge in canonical order, a column per operator.
    std::vector<int> alphas() const override { return {arch_parameters_}; }

  private:
    Tensor mixed_cell(const Cell& cell, const Tensor& x, const ArchWeights& arch, const Tensor& ones, bool training);
};

}  // namespace nascent
