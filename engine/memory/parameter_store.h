// Parameters, their momentum, and buffers. Everything a (block, op) owns is one contiguous range, so an optimizer step,
// an all-reduce bucket and a checkpoint entry are each one range.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/memory/arena.h"

namespace nascent {

struct Parameter {
    std::string name;    // the state-dict name, e.g. "cells.0.edges.1<-0.2.op.1.weight"
    Shape shape;         // convolutions (k, k, c_in, c_out)
    std::size_t offset;  // elements from the start of its range
    int range;
};

struct ParameterRange {
    std::string name;
    std::size_t count = 0;  // elements
    int first = 0, parameters = 0;
    void* weights = nullptr;
    void* momentum = nullptr;
    void* gradient = nullptr;  // its fixed place, where one was asked for
    void* rounded = nullptr;   // the weights as bf16, likewise
    static constexpr std::int64_t never = -2;
    std::int64_t last_step = never;  // the last optimizer step that is in weights and momentum; never: none ever was
};

struct Buffer {
    std::string name;
    Tensor tensor;
};

class ParameterStore {
  public:
    ParameterStore(Device& device, DType dtype) : arena_(device), dtype_(dtype) {}
    /// Starts a range; the parameters added next belong to it.
    int begin_range(const std::string& name);
    /// Returns the parameter's index. Names are unique: throws Error(runtime).
    int add(const std::string& name, const Shape& shape);
    /// A tensor that is stored and saved but not trained (running statistics), filled with `value`.
    int add_buffer(const std::string& name, const Shape& shape, double value);
    /// Ends the building: gives all ranges their memory, zeroed. No add() after it.
    void allocate();

    DType dtype() const { return dtype_; }
    Device& device() const { return arena_.device(); }
    const std::vector<Parameter>& parameters() const { return parameters_; }
    const std::vector<ParameterRange>& ranges() const { return ranges_; }
    ParameterRange& range(int r) { return ranges_[static_cast<std::size_t>(r)]; }
    /// Memory for the range's gradient, at the same address every time.
    void* gradient_place(int r);
    /// Memory for the range's weights as bf16, at the same address every time.
    void* rounded_place(int r);
    const std::vector<Buffer>& buffers() const { return buffers_; }
    /// Index of the parameter of that name, or -1.
    int find(const std::string& name) const;
    std::size_t parameter_count() const;

    /// The parameter as an op's input. Whoever defers updates (a coasting optimizer) brings it up to date here. Scopes
    /// (engine/memory/second_weights.h) make it a constant, or another set of weights; of several sets that of the copy
    /// that a CopyScope names. Throws Error(runtime) where sets differ and none is named.
    Tensor read(int parameter);
    /// Whether read() says of these ranges' parameters where they are as bf16: whoever says so has put them there.
    void set_rounded(std::span<const int> ranges, bool are);
    /// How many copies of the network, side by side in a batch, reads have weights for: 1, within a TwinWeightsScope 2.
    int copies() const { return weights_instead_.size() < 2 ? 1 : static_cast<int>(weights_instead_.size()); }
    /// Says that the ranges of these parameters are read next, so that they are brought up to date together; -1: none.
    void read_ahead(std::span<const int> parameters);
    /// The ranges that these parameters (-1: none) are in, each once, in order.
    std::vector<int> ranges_of(std::span<const int> parameters) const;
    Tensor buffer(int index) const {
        return buffers_instead_ ? (*buffers_instead_)[static_cast<std::size_t>(index)]
                                : buffers_[static_cast<std::size_t>(index)].tensor;
    }
    /// Whether read() gives others than the store's own for now, at least of some ranges.
    bool weights_replaced() const { return !weights_instead_.empty(); }
    /// Whether buffer() gives others than the store's own for now.
    bool buffers_replaced() const { return buffers_instead_ != nullptr; }
    /// The stored bytes as they are, perhaps behind: for checkpoints.
    Tensor raw(int parameter) const;
    Tensor raw_momentum(int parameter) const;
    /// Called with the ranges before a read; set by the optimizer.
    void set_before_read(std::function<void(std::span<const int> ranges)> f) { before_read_ = std::move(f); }

  private:
    friend class ConstantRanges;
    friend class SecondWeightsScope;
    friend class TwinWeightsScope;
    friend class CopyScope;
    Tensor view(int parameter, void* base) const;
    Arena arena_;
    DType dtype_;
    bool allocated_ = false;
    std::vector<Parameter> parameters_;
    std::vector<ParameterRange> ranges_;
    std::vector<Buffer> buffers_;
    std::unordered_map<std::string, int> index_;
    std::function<void(std::span<const int>)> before_read_;
    std::vector<bool> constant_;                              // by range; empty: none is
    std::vector<bool> is_rounded_;                            // by range; empty: none is
    std::vector<const std::vector<void*>*> weights_instead_;  // by copy, by range; a null entry: the range's own
    int copy_ = -1;                                           // that is read; -1: none is named
    const std::vector<Tensor>* buffers_instead_ = nullptr;    // by buffer
};

}  // namespace nascent
