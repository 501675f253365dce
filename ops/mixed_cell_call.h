// One call of mixed_cell: the branches, nodes and batch-norms of each copy with their memory, allocated by the forward
// and found again by the backward, and the passes over all copies' together.
#pragma once
#include "engine/autograd/op.h"
#include "kernels/fold.h"
#include "kernels/mixed.h"
#include "ops/mixed_cell.h"
#include "ops/mixed_cell_lists.h"
#include "ops/mixed_cell_parts.h"

namespace nascent {

/// Inputs: before, previous, weights (or before again, where no op has one), the parameters, copy by copy.
struct MixedCell {
    static constexpr const char* name = "mixed_cell";
    bool operator==(const MixedCell&) const = default;
    CellShape shape;
    std::vector<CellNorm> norms;
    bool training;
    int copies;

    /// Whether the forward keeps what the backward could have from the states: z of the preprocessings and the pools.
    /// An affine cell's states do not tell z where a gamma is 0, and a path has little to keep.
    bool keeps_z() const { return shape.affine; }
    bool keeps_pools() const;

    Tensor forward(Inputs in, Saved& saved) const;
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const;
    Tensor reference(Inputs in) const;
    static std::vector<Case> cases();
};

namespace cell {

inline constexpr double kEps = 1e-5, kMomentum = 0.1;  // torch.nn.BatchNorm2d's
inline constexpr std::size_t kFirstParameter = 3;      // inputs: before, previous, weights

struct StateSize {
    int h, w;
};

/// What all copies are alike in: pictures of a copy, and the states' sizes.
struct Sizes {
    int n = 0;
    int fold = 1;  // pictures that operators see side by side (kernels/fold.h): by the shapes alone, 1 on a gpu
    std::vector<StateSize> state;
    std::size_t pixels(StateSize s) const { return static_cast<std::size_t>(n) * s.h * s.w; }
};
/// Throws Error(runtime) where the shapes do not fit.
Sizes sizes_of(const MixedCell& op, Inputs in);

/// Tensors that the forward allocates, in their order, and the backward finds again.
class Keeping {
  public:
    explicit Keeping(Saved& saved) : keep_(&saved) {}
    explicit Keeping(const Saved& saved) : kept_(&saved) {}
    Tensor tensor(const Shape& shape, DType dtype) {
        if (!keep_) return (*kept_)[next_++];
        keep_->push_back(empty(shape, dtype));
        return keep_->back();
    }

  private:
    Saved* keep_ = nullptr;
    const Saved* kept_ = nullptr;
    std::size_t next_ = 0;
};

/// One copy of the cell, whose pictures are stored as S. What it has for a pass it adds to that of all copies.
template <class S>
class Cell {
  public:
    using T = kernels::Compute<S>;  // of parameters and vectors
    /// y: of all copies.
    Cell(const MixedCell& op, Inputs in, int copy, const Sizes& sizes, const Tensor& y, Keeping& keeping);

    /// Pools that are not kept: their memory, in scratch, and in the backward what they were.
    void place_pools();
    void add_pools(Branches<S>& to) const;
    void add_inputs(Branches<S>& to) const;
    void add_preprocessed(Nodes<S>& to) const;
    void add_leaving(int state, Branches<S>& firsts, Branches<S>& seconds) const;
    void add_node(int node, Nodes<S>& to) const;
    // With partial channels instead: a node before its shuffle, `around` the operators, and the shuffle.
    void halve(int state) const;
    void fold_input(int input) const;
    void add_partial_node(int node, Nodes<S>& seen, Nodes<S>& around);
    void shuffle_node(int node) const;
    /// Running statistics, moved towards this batch's, or read (evaluation).
    void update_running() const;
    void add_running(std::vector<kernels::RunningScale<T>>& to) const;

    /// dweights, null where they are not wanted: of this copy.
    void begin_backward(const Tensor& dy, std::span<Into> into, T* dweights);
    void add_node_gradient(int node, NodesBackward<S>& terms, BranchesBackward<S>& seconds);
    void add_state_gradient(int state, BranchesBackward<S>& to);
    // With partial channels before them: a node's gradient before its shuffle, the weights of what went round the
    // operators, and its gradient.
    void unshuffle_gradient(int node);
    void add_bypass_weights(int node, NodesBackward<S>& to) const;
    void add_bypass_gradient(int state, Nodes<S>& to);
    /// Of what goes round a state's operators, where it reaches the nodes.
    StateSize bypass_size(int state) const;
    void double_gradient(int state) const;
    void unfold_gradient(int state);
    void add_preprocessed_gradient(NodesBackward<S>& to);
    void add_input_gradient(int input, BranchesBackward<S>& to);

  private:
    /// `fold` pictures' channels side by side, alike.
    Norm<T> norm(int channels) {
        Norm<T> n;
        n.scale = keeping_->tensor({2, channels}, dtype_of<T>()).template as<T>();
        n.shift = n.scale + channels;
        if (!op_.training) return n;
        n.mean = keeping_->tensor({2, channels}, DType::f64).template as<double>();
        n.rstd = n.mean + channels;
        return n;
    }
    static void give(kernels::Branch<S>& b, const Norm<T>& n) {
        b.mean = n.mean, b.rstd = n.rstd;
        if (n.mean) b.scale = n.scale, b.shift = n.shift;
    }
    /// Kept while the cell is built, scratch afterwards.
    Tensor tensor(const Shape& shape, DType dtype) {
        return keeping_ ? keeping_->tensor(shape, dtype) : empty(shape, dtype);
    }
    S* nodes_tensor(StateSize s, int channels) {
        return tensor({sizes_.n, s.h, s.w, channels}, dtype_of<S>()).template as<S>();
    }
    std::uint8_t* taps(StateSize s, int channels) {
        const auto bytes = static_cast<std::int64_t>(sizes_.pixels(s) * static_cast<std::size_t>(channels));
        return static_cast<std::uint8_t*>(tensor({(bytes + 3) / 4}, DType::i32).data);
    }
    /// A tensor of the current execution.
    S* scratch(StateSize s, int channels) const {
        return empty({sizes_.n, s.h, s.w, channels}, dtype_of<S>()).template as<S>();
    }
    const T* parameter(std::size_t i) const { return in_[i].as<T>(); }
    kernels::GammaBeta<T> affine(std::size_t gamma) const {
        if (!op_.shape.affine) return {};
        return {parameter(gamma), parameter(gamma + 1)};
    }
    kernels::GammaBetaGradient<T> affine_gradient(std::size_t gamma) const {
        if (!op_.shape.affine) return {};
        const Into &g = into_[gamma], &b = into_[gamma + 1];
        return {g.as<T>(), b.as<T>(), g.accumulate(), b.accumulate()};
    }
    const T* weight(const CellOp& op) const { return op.weight < 0 ? nullptr : in_[2].as<T>() + op.weight; }
    /// Elements before this copy's in a tensor of all copies'.
    std::size_t before_mine(const Tensor& t) const {
        return static_cast<std::size_t>(copy_) * (t.size() / static_cast<std::size_t>(op_.copies));
    }
    StateSize size(int state) const { return sizes_.state[static_cast<std::size_t>(state)]; }
    kernels::Source<S> input(std::size_t i) const;
    kernels::Source<S> state(int s) const;
    /// All channels of a state, `pixel(s)` apart.
    const S* unfolded(int s) const { return s < 2 ? preprocessed_[s] : y_ + static_cast<std::ptrdiff_t>(s - 2) * c_; }
    int pixel(int s) const { return s < 2 ? c_ : op_.shape.nodes * c_; }
    kernels::Source<S> middle_source(const EdgeBranch<S>& e) const;

    void build_preprocessing();
    void check_affine(std::size_t gamma, int channels) const;
    void build_edges(int from);
    void place_pool(std::size_t place);
    kernels::Branch<S> reduce(std::size_t parameter, int c_out) const;
    void build_bypass(int from);
    kernels::MixedTerm<S> bypass_term(const Bypass& b) const;
    std::vector<kernels::Around<S>> around_gradients(int state) const;
    bool halved(int state) const { return halved_[static_cast<std::size_t>(state)].z; }
    std::vector<kernels::MixedTerm<S>> terms(int node) const;
    /// f(running statistics, norm, size) of every batch-norm that has running statistics.
    template <class F>
    void for_each_running(F&& f) const;
    kernels::BranchBackward<S> branch_backward(const kernels::Branch<S>& b, std::size_t parameter) const;

    bool folded() const { return sizes_.fold > 1; }
    /// Of a state; a node has its order of channels.
    kernels::FoldedShape folded_shape(int state) const {
        const StateSize s = size(state);
        return {sizes_.n, s.h * s.w, c_, seen_, op_.shape.shuffle ? op_.shape.partial : 1, sizes_.fold, order(state)};
    }
    const kernels::ChannelOrder* order(int state) const {
        return state < 2 || orders_.empty() ? nullptr : &orders_[static_cast<std::size_t>(state - 2)];
    }
    /// A node's channels between their sums and their places, where several pictures' are not folded.
    void shuffle(int node, bool inverse, const S* x, int x_pixel, S* to, int to_pixel) const;

    const MixedCell& op_;
    Inputs in_;
    int copy_, c_, seen_, width_;  // channels of a state, those that operators see, and as many pictures' as are folded
    const Sizes& sizes_;
    Keeping* keeping_;  // while it is built

    S* y_;
    S* preprocessed_[2] = {};
    kernels::Branch<S> before_[2];  // where no z is kept it becomes the state where it lies
    Norm<T> before_norm_[2];
    std::size_t before_parameter_[2] = {}, before_gamma_[2] = {};
    std::vector<EdgeBranch<S>> branches_;    // by edge and op; `none` has none
    std::vector<kernels::Branch<S>> pools_;  // by state: (max, avg); no channels where no edge has one
    std::vector<Norm<T>> pool_norms_;
    std::vector<Bypass> bypasses_;
    std::vector<Halved<S>> halved_;  // by state
    struct {
        S* y = nullptr;
        int pixel = 0;
    } sum_;                                      // of a node before its shuffle; folded: of its operators
    std::vector<kernels::ChannelOrder> orders_;  // by node; empty: in groups
    std::vector<S*> folded_;                     // by state: what operators see, where pictures are folded

    // Of the backward.
    struct Gradient {
        S* g = nullptr;
        int pixel = 0;
    };
    std::span<Into> into_;
    const S* dy_ = nullptr;
    T* dweights_ = nullptr;
    std::vector<Gradient> states_;
    std::vector<Gradient> around_;                   // by node: of what goes round its operators
    std::vector<S*> folded_gradient_;                // by state
    std::vector<kernels::BranchGradient<S>> reach_;  // by branch: what reaches it from its node
    std::vector<Gradient> middle_;                   // by branch: gradient of a separable one's middle
    std::vector<kernels::NormMap<T>> middle_map_;
    kernels::BranchGradient<S> before_reach_[2];
    std::vector<S*> halved_gradient_;  // by state
};

extern template class Cell<float>;
extern template class Cell<double>;
extern template class Cell<kernels::BFloat16>;

/// All copies, in step.
template <class S>
class Cells {
  public:
    using T = kernels::Compute<S>;
    Cells(const MixedCell& op, Inputs in, Keeping keeping);
    Tensor forward();
    void backward(const Tensor& dy, std::span<Into> into);

  private:
    void leave(int state);
    void node(int node);
    /// Of a state that operators see, and of those that go round them.
    int seen() const { return op_.shape.channels / op_.shape.partial; }
    int around() const { return op_.shape.channels - seen(); }
    /// Pictures that operators see, and the channels of each.
    int pictures() const { return sizes_.n / sizes_.fold; }
    int width() const { return seen() * sizes_.fold; }
    void node_backward(int node);
    void states_backward(std::span<const int> states);
    void preprocessing_backward();

    const MixedCell& op_;
    Inputs in_;
    std::span<Into> into_;
    Sizes sizes_;
    Tensor y_;
    std::vector<Cell<S>> cells_;
};

extern template class Cells<float>;
extern template class Cells<double>;
extern template class Cells<kernels::BFloat16>;

}  // namespace cell
}  // namespace nascent
