// Stochastic gradient descent over the ranges a tape has written, and what happens to the others.
#pragma once
#include "engine/autograd/tape.h"
#include "engine/memory/host_values.h"

namespace nascent {
namespace kernels {
template <class T>
struct SgdRange;
struct SgdStep;
}  // namespace kernels

struct SgdOptions {
    double momentum = 0.9;
    double weight_decay = 5e-4;
    bool nesterov = true;
    double clip_norm = 0;  // gradients are scaled to this global L2 norm where theirs is larger; 0: off
    /// Parameters off the path, once they have had a gradient: `skip` leaves them (PyTorch >= 2), `coast` steps them
    /// with a zero gradient, so momentum and decay go on (PyTorch 1.4 as the reference code of RLNAS ran it).
    enum class Inactive { skip, coast } inactive = Inactive::coast;
    /// The gradients of ranges that it does not step count in the clipped norm.
    bool others_in_norm = true;
    /// Each element of a gradient is clamped to [-clip_value, clip_value] before all else, as by
    /// torch.nn.utils.clip_grad_value_; 0: off. Not together with clip_norm.
    double clip_value = 0;
    /// Which parameters weight_decay is of; null: all.
    std::function<bool(const Parameter&)> decays = nullptr;
};

/// torch.optim.SGD's update. With `coast`, steps that a range missed are applied when it is next read: a zero-gradient
/// step is linear in (w, v), so k of them are one 2x2 matrix, a function of the steps' numbers alone.
class Sgd {
  public:
    /// `learning_rate(step)` must be a pure function. Registers itself to bring ranges up to date before reads; the
    /// store must outlive it. `ranges`: those it steps; empty: all of the store.
    Sgd(ParameterStore& store, SgdOptions options, std::function<double(std::int64_t)> learning_rate,
        const std::vector<int>& ranges = {});
    ~Sgd();
    Sgd(const Sgd&) = delete;
    Sgd& operator=(const Sgd&) = delete;

    /// The step about to be computed; reads before step() see the parameters as of its beginning.
    std::int64_t step_number() const { return step_; }
    void set_step_number(std::int64_t step) { step_ = step; }
    /// Updates those of its ranges that the tape has written and counts the step. Returns the gradients' global norm,
    /// or 0 where clipping is off.
    double step(const Tape& tape);
    /// From now on step() launches what can be captured and done again: the learning rate lies in `values`, where
    /// prepare() writes it before each step, and nothing is read back, so it returns 0. Throws Error(runtime) where
    /// ranges coast: what a step does then depends on the steps that they missed.
    void hold(HostValues& values);
    void prepare();
    /// float64 (1): the sum of squares of the gradients of the last step that was held; undefined without clip_norm.
    const Tensor& squares() const { return squares_; }
    /// The ranges that the last step() updated.
    const std::vector<int>& stepped() const { return stepped_; }
    /// Counts a step that was done again from a capture and updated these ranges.
    void count_replayed(std::span<const int> ranges);
    /// The range's weights as a dense optimizer would have them now, into `out` (range.count elements of the store's
    /// type, host memory); the stored bytes do not move, so looking never changes a run.
    void peek(int range, void* out) const;
    bool decays(int parameter) const;
    /// Whether the range misses steps; then m is the map of them (kernels::SgdRange::gap) for its parameters that
    /// decay, or for those that do not.
    bool pending(int range, double (&m)[4], bool decays = true) const;

  private:
    /// Neighbouring parameters of a range that decay alike.
    struct Piece {
        std::size_t offset, count;  // elements, in the range
        bool decays;
    };
    void catch_up(std::span<const int> ranges);
    template <class T>
    void add_pieces(std::vector<kernels::SgdRange<T>>& list, int range, void* w, void* v, const void* g) const;
    kernels::SgdStep step_at(double lr) const;
    ParameterStore& store_;
    SgdOptions options_;
    std::function<double(std::int64_t)> learning_rate_;
    std::int64_t step_ = 0;
    std::vector<bool> steps_;  // by range
    std::vector<int> stepped_;
    HostValues* values_ = nullptr;  // where the rate is held
    double* rate_ = nullptr;
    Tensor squares_;
    std::vector<std::vector<Piece>> pieces_;  // by range
};

}  // namespace nascent
