// One call of mixed_cell: its branches, nodes and batch-norms with their memory, allocated by the forward and found
// again by the backward, and the passes over them.
#pragma once
#include <deque>

#include "engine/autograd/op.h"
#include "kernels/mixed.h"
#include "ops/mixed_cell.h"

namespace nascent {

/// Inputs: before, previous, weights (or before again, where no op has one), the parameters.
struct MixedCell {
    static constexpr const char* name = "mixed_cell";
    bool operator==(const MixedCell&) const = default;
    CellShape shape;
    std::vector<CellNorm> norms;
    bool training;

    Tensor forward(Inputs in, Saved& saved) const;
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const;
    Tensor reference(Inputs in) const;
    static std::vector<Case> cases();
};

namespace cell {

inline constexpr double kEps = 1e-5, kMomentum = 0.1;  // torch.nn.BatchNorm2d's
inline constexpr std::size_t kFirstParameter = 3;      // inputs: before, previous, weights

/// A batch-norm without gamma and beta: scale and shift, mean and rstd.
template <class T>
struct Norm {
    T *scale = nullptr, *shift = nullptr;
    double *mean = nullptr, *rstd = nullptr;
};

/// One summand of an edge. Which of its parts there are depends on its kind.
template <class T>
struct EdgeBranch {
    const CellEdge* edge;
    const CellOp* op;
    std::size_t parameter = 0;  // index of its first input
    std::size_t norm = 0;       // of its first batch-norm
    // The branch that ends in the node: of a pool the state's, of a separable one the second half. None of an identity.
    kernels::Branch<T> last = {};
    Norm<T> end = {};  // of what reaches the node; of a pool in evaluation the edge's own
    kernels::Branch<T> first = {};
    Norm<T> middle = {};
    bool has_branch() const { return last.z; }
    bool pooled() const { return op->kind == CellOpKind::max_pool || op->kind == CellOpKind::avg_pool; }
    bool twice() const { return op->kind == CellOpKind::separable; }
};

struct StateSize {
    int h, w;
};

/// Everything of one call, with its memory: allocated in the forward and kept, found again in the backward.
template <class T>
class Cell {
  public:
    Cell(const MixedCell& op, Inputs in, Saved& saved) : op_(op), in_(in), keep_(&saved) { build(); }
    Cell(const MixedCell& op, Inputs in, const Saved& saved) : op_(op), in_(in), kept_(&saved) { build(); }

    Tensor forward();
    void backward(const Tensor& dy, std::span<Into> into);

  private:
    Tensor tensor(const Shape& shape, DType dtype) {
        if (!keep_) return (*kept_)[next_++];
        keep_->push_back(empty(shape, dtype));
        return keep_->back();
    }
    Norm<T> norm(int channels) {
        Norm<T> n;
        n.scale = tensor({2, channels}, dtype_of<T>()).template as<T>();
        n.shift = n.scale + channels;
        if (!op_.training) return n;
        n.mean = tensor({2, channels}, DType::f64).template as<double>();
        n.rstd = n.mean + channels;
        return n;
    }
    static void give(kernels::Branch<T>& b, const Norm<T>& n) {
        b.mean = n.mean, b.rstd = n.rstd;
        if (n.mean) b.scale = n.scale, b.shift = n.shift;
    }
    const T* parameter(std::size_t i) const { return in_[i].as<T>(); }
    const T* weight(const CellOp& op) const { return op.weight < 0 ? nullptr : in_[2].as<T>() + op.weight; }
    kernels::Source<T> state(int s) const;
    int pixel(int s) const { return s < 2 ? c_ : op_.shape.nodes * c_; }
    kernels::Source<T> middle_source(const EdgeBranch<T>& e) const;
    std::size_t pixels(StateSize s) const { return static_cast<std::size_t>(n_) * s.h * s.w; }

    void build();
    void build_preprocessing();
    void build_edges(int from);
    kernels::Branch<T> reduce(std::size_t parameter, int c_out) const;
    void check() const;
    void running(bool update) const;
    std::vector<kernels::MixedTerm<T>> terms(int node) const;
    void run(std::span<const kernels::Source<T>> sources, std::span<const kernels::Branch<T>> branches) const;
    void leave(int s) const;

    struct Gradients;
    void node_backward(Gradients& g, int node);
    void states_backward(Gradients& g, std::span<const int> states);
    void preprocessing_backward(const Gradients& g);
    void weights_backward(const Gradients& g) const;
    kernels::BranchBackward<T> branch_backward(const kernels::Branch<T>& b, std::size_t parameter) const;

    const MixedCell& op_;
    Inputs in_;
    Saved* keep_ = nullptr;
    const Saved* kept_ = nullptr;
    std::size_t next_ = 0;
    std::span<Into> into_;

    int n_ = 0, c_ = 0;
    std::vector<StateSize> size_;  // by state
    Tensor y_;
    T* preprocessed_[2] = {};
    kernels::Branch<T> before_[2];
    Norm<T> before_norm_[2];
    std::size_t before_parameter_[2] = {};
    std::vector<EdgeBranch<T>> branches_;    // by edge and op; `none` has none
    std::vector<kernels::Branch<T>> pools_;  // by state: (max, avg), where an edge has one
    std::vector<Norm<T>> pool_norms_;
};

extern template class Cell<float>;
extern template class Cell<double>;

}  // namespace cell
}  // namespace nascent
