// The tape: what was computed, in order. A gradient that was not written does not exist; the first to write one
// overwrites, so nothing is ever zeroed.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "engine/memory/arena.h"
#include "engine/memory/parameter_store.h"

namespace nascent {

enum class Write { overwrite, accumulate };

/// Where an op's backward puts one input's gradient; not wanted where `grad` is undefined.
struct Into {
    Tensor grad;
    Write how = Write::overwrite;
    explicit operator bool() const { return grad.defined(); }
    bool accumulate() const { return how == Write::accumulate; }
    /// The address, or null where it is not wanted.
    template <class T>
    T* as() const {
        return grad.defined() ? grad.as<T>() : nullptr;
    }
};

/// A range of parameters whose gradient was written, laid out as the range's weights are.
struct WrittenRange {
    int range;
    void* grad;
};

/// Sums of squares, in the device's memory, that add up to that of `count` elements of a written gradient.
struct GradientSquares {
    const void* grad;
    std::size_t count;
    const double* squares;
    std::size_t sums;
};

class Tape {
  public:
    using Backward = std::function<void(const Tensor& dy, std::span<Into> into)>;
    /// Gradients of activations take memory that earlier ones have left (`reused`), or have a place beside the
    /// activation and those of parameters one in the store (`fixed`), whatever the path: for captured work.
    /// `parameters_fixed`: activations as in `reused`, parameters as in `fixed`, so that their gradients outlive the
    /// arena's reset until the next tape writes them.
    enum class Gradients { reused, fixed, parameters_fixed };
    /// Values, saved tensors and gradients live in `arena` until its owner resets it; `store` may be null (no
    /// parameters).
    Tape(Arena& arena, ParameterStore* store, Gradients gradients = Gradients::reused);
    /// Makes a tensor a value whose gradient is kept: gradient(id) after backward().
    void watch(Tensor& t);
    /// Records an op; returns the id of its output.
    ValueId record(const char* name, std::span<const Tensor> inputs, const Tensor& output, Backward backward);
    struct Cotangent {
        Tensor of, value;  // of one shape
    };
    /// Walks the tape back from these values, each another. Once per tape.
    void backward(std::span<const Cotangent> from);
    void backward(const Tensor& y, const Tensor& dy) {
        const Cotangent one[] = {{y, dy}};
        backward(one);
    }
    /// The gradient of a watched tensor or of a parameter; undefined where none was written.
    Tensor gradient(const Tensor& t) const;
    /// The ranges with a gradient, in the order in which they were first written.
    const std::vector<WrittenRange>& written() const { return written_; }
    /// How often backward() has had a parameter's gradient written.
    int writes(int parameter) const { return writes_[static_cast<std::size_t>(parameter)]; }
    Gradients gradients() const { return gradients_; }
    /// What is known of the squares of what backward() has written, from whoever ran it.
    void keep_squares(std::vector<GradientSquares> squares) { squares_ = std::move(squares); }
    const std::vector<GradientSquares>& squares() const { return squares_; }
    std::size_t nodes() const { return nodes_.size(); }
    Arena& arena() const { return arena_; }

  private:
    struct Node {
        const char* name;
        std::vector<ValueId> inputs;
        int output;
        Backward backward;
    };
    struct Value {
        Shape shape;
        DType dtype;
        bool watched;
        void* place = nullptr;  // of its gradient, where that is fixed
        void* grad = nullptr;   // null: none was written
    };
    Into into(ValueId id);
    Into into_parameter(int parameter);
    void check_written() const;
    Tensor value_gradient(const Value& v) const;
    Arena& arena_;
    ParameterStore* store_;
    Gradients gradients_;
    GradientSlots slots_;
    std::vector<Node> nodes_;
    std::vector<Value> values_;
    std::vector<WrittenRange> written_;
    std::vector<int> range_at_;  // by range: its place in written_, or -1
    std::vector<int> writes_;    // by parameter
    std::vector<GradientSquares> squares_;
};

}  // namespace nascent
