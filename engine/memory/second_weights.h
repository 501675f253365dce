// Other weights in a network's place: a second set, in memory of its own, that a step looks ahead with, and weights
// that nobody computes a gradient of. The network itself knows of neither.
#pragma once
#include <span>
#include <vector>

#include "engine/memory/parameter_store.h"

namespace nascent {

/// Parameters of these ranges are read as constants while this lives. One at a time for a store.
class ConstantRanges {
  public:
    ConstantRanges(ParameterStore& store, std::span<const int> ranges);
    ~ConstantRanges();
    ConstantRanges(const ConstantRanges&) = delete;
    ConstantRanges& operator=(const ConstantRanges&) = delete;

  private:
    ParameterStore& store_;
};

/// Memory for the weights of some ranges and for all buffers of an allocated store, which must outlive it; zeroed.
class SecondWeights {
  public:
    SecondWeights(ParameterStore& store, std::span<const int> ranges);
    ParameterStore& store() const { return store_; }
    /// Laid out as the range's own; null for a range it has none of.
    void* weights(int range) const { return weights_[static_cast<std::size_t>(range)]; }
    std::size_t bytes() const { return arena_.used(); }

  private:
    friend class SecondWeightsScope;
    friend class TwinWeightsScope;
    ParameterStore& store_;
    Arena arena_;
    std::vector<void*> weights_;  // by range
    std::vector<Tensor> buffers_;
};

/// The store's reads give the second weights while this lives, those of other ranges their own; gradients belong to the
/// parameters as ever. With `buffers` the second buffers stand in too, so that running statistics do not move. One at a
/// time for a store.
class SecondWeightsScope {
  public:
    SecondWeightsScope(SecondWeights& second, bool buffers);
    ~SecondWeightsScope();
    SecondWeightsScope(const SecondWeightsScope&) = delete;
    SecondWeightsScope& operator=(const SecondWeightsScope&) = delete;

  private:
    ParameterStore& store_;
};

/// Two copies of the network read side by side while this lives: copy 0 the second weights, copy 1 what lies in the
/// same ranges' gradient places, laid out as weights; read() throws unless they are constant. Other ranges are the same
/// in both, and so are running statistics. One at a time for a store, as SecondWeightsScope.
class TwinWeightsScope {
  public:
    explicit TwinWeightsScope(SecondWeights& second);
    ~TwinWeightsScope();
    TwinWeightsScope(const TwinWeightsScope&) = delete;
    TwinWeightsScope& operator=(const TwinWeightsScope&) = delete;

  private:
    ParameterStore& store_;
    std::vector<void*> gradient_places_;  // by range
};

/// Reads are those of one of the store's copies while this lives.
class CopyScope {
  public:
    CopyScope(ParameterStore& store, int copy);
    ~CopyScope();
    CopyScope(const CopyScope&) = delete;
    CopyScope& operator=(const CopyScope&) = delete;

  private:
    ParameterStore& store_;
};

}  // namespace nascent
