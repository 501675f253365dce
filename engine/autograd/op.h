// The one door every op goes through. An op is one struct:
//
//   struct Relu {
//       static constexpr const char* name = "relu";
//       Tensor forward(Inputs in, Saved& saved) const;
//       void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const;
//       bool operator==(const Relu&) const = default;
//       static std::vector<Case> cases();
//       Tensor reference(Inputs in) const;                          // fused ops only: the same from primitive ops
//   };
//
// backward() writes the gradients its `into` wants, in the order of the inputs (one value may be two inputs), and
// nothing else. Both launch kernels and read nothing back, so that a call can be captured and replayed. What backward()
// needs besides inputs is put into `saved` by forward(). An op without cases(), or whose parameters cannot be compared,
// does not compile.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/autograd/execution.h"

namespace nascent {

using Inputs = std::span<const Tensor>;
using Saved = std::vector<Tensor>;

/// A sample call of an op, used four ways: gradient check, fused against reference, device against device, benchmark.
struct Case {
    std::string what;
    std::vector<Shape> inputs;              // filled with random numbers by the caller
    std::function<Tensor(Inputs)> run;      // calls the op's public function
    std::vector<bool> differentiable = {};  // by input; empty: all
    Shape image = {};                       // (n, h, w, c) of what it works on, where that is not the first input
    int activations = -1;  // so many of the first inputs may be bf16 and the others float32; -1: it has no such form
};

struct OpEntry {
    const char* name;
    std::vector<Case> (*cases)();
    bool fused;  // has a reference()
};

/// All ops that any code applies, in the order of registration.
const std::vector<OpEntry>& registered_ops();
bool register_op(const OpEntry& entry);

template <class Op>
concept Fused = requires(const Op& op, Inputs in) {
    { op.reference(in) } -> std::same_as<Tensor>;
};

namespace detail {
template <class Op>
struct Registered {
    static inline const bool once = register_op({Op::name, &Op::cases, Fused<Op>});
};
}  // namespace detail

namespace detail {
template <class Op>
Tensor forward(const Op& op, Inputs in, Saved& saved) {
    if (Segments* s = current_segments()) return s->forward(op, in, saved);
    return op.forward(in, saved);
}
template <class Op>
void backward(const Op& op, const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) {
    if (Segments* s = current_segments()) return s->backward(op, dy, into, in, saved);
    op.backward(dy, into, in, saved);
}
}  // namespace detail

/// Runs an op in the current execution; records it where a tape is current and an input is on it.
template <class Op>
Tensor apply(const Op& op, Inputs inputs) {
    static_assert(std::equality_comparable<Op>, "calls are recognised by their parameters: give the op an operator==");
    (void)detail::Registered<Op>::once;
    Scope scope("{}", Op::name);
    if constexpr (Fused<Op>)
        if (use_reference()) return op.reference(inputs);
    bool wanted = false;
    for (const Tensor& t : inputs) wanted = wanted || t.id.wanted();
    Saved saved;
    Tensor y = detail::forward(op, inputs, saved);
    if (Tape* tape = current_tape(); tape && wanted) {
        y.id = tape->record(Op::name, inputs, y,
                            [op, in = std::vector<Tensor>(inputs.begin(), inputs.end()), saved = std::move(saved)](
                                const Tensor& dy, std::span<Into> into) { detail::backward(op, dy, into, in, saved); });
    }
    return y;
}

template <class Op>
Tensor apply(const Op& op, std::initializer_list<Tensor> inputs) {
    return apply(op, Inputs(inputs.begin(), inputs.size()));
}

}  // namespace nascent
