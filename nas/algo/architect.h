// The architecture's half of a bilevel step (DARTS, Liu, Simonyan and Yang, ICLR 2019, equations 6 to 8).
#pragma once
#include <functional>
#include <optional>

#include "engine/memory/second_weights.h"
#include "nas/algo/held_step.h"
#include "nas/supernet/search_net.h"

namespace nascent {

struct ArchitectOptions {
    bool second_order = false;
    double momentum = 0.9, weight_decay = 3e-4;  // of the weights' SGD, which an unrolled step looks ahead through
    /// Second order's passes at w + e v and w - e v are one pass over two copies of the network: half the launches,
    /// twice the activations. Equal to two passes but for rounding.
    bool twin = false;
};

class Architect {
  public:
    /// Steps' work lies in `arena`, which must be the current execution's in gradients(). Both must outlive it.
    Architect(SearchNet& net, Arena& arena, const ArchitectOptions& options);

    /// Computes the gradient of the validation loss by the alphas and hands a tape over that holds it (what lies in
    /// the weights' gradient places is then nobody's). Returns that loss; throws Error(runtime) where it
    /// is not finite. The batches lie in the arena, which is as before afterwards.
    ///
    /// First order: at the present weights w; no weight's gradient is computed. Second order: at w' = w - lr (momentum
    /// m + dL_train/dw + weight_decay w), m the SGD's momentum buffers, minus lr times the difference quotient of
    /// dL_train/dalpha at w +- e v, v = dL_valid/dw', e = 0.01 / |v|. w', w + e v and w - e v take turns in one second
    /// set of weights; with `twin` w - e v takes the place of v, which nobody needs then. w itself is never touched. As
    /// in the original program the passes over the training batch move the running statistics, the one at w' does not.
    double gradients(const LabelledBatch& train, const LabelledBatch& valid, double lr,
                     const std::function<void(const Tape&)>& use);

    /// From now on gradients() launches what can be captured and reads nothing: what it would have read is kept in the
    /// step's reads (arch_loss; in second order look_ahead_squares), and `lr` is prepare()'s.
    void hold(HeldStep& step);
    /// Before a step's work: its rate.
    void prepare(double lr);
    /// Whether the gradient at the unrolled weights has a norm that a difference quotient can be made with; throws
    /// Error(runtime) where it has not.
    static void check_norm(double norm);

    /// Ranges of the weights (those that hold any) and of the alphas.
    const std::vector<int>& weight_ranges() const { return weights_; }
    const std::vector<int>& alpha_ranges() const { return alphas_; }
    /// Bytes of the second set of weights; 0 in first order.
    std::size_t second_bytes() const { return second_ ? second_->bytes() : 0; }

  private:
    Tensor loss(const LabelledBatch& batch);
    double first_order(const LabelledBatch& valid, const std::function<void(const Tape&)>& use);
    double second_order(const LabelledBatch& train, const LabelledBatch& valid, double lr,
                        const std::function<void(const Tape&)>& use);
    void look_ahead(const LabelledBatch& train, double lr);
    /// The weights w + factor v, to the second set or, over v, to the gradient places.
    void move_weights(double factor, bool over_gradients, const double* factors = nullptr);
    void probe(const LabelledBatch& train, double factor, const double* factors, std::vector<void*>& to);
    void probe_both(const LabelledBatch& train, double factor);
    void keep_alpha_gradients(std::vector<void*>& to);
    const double* look_ahead_squares(const Tape& tape) const;
    Cotangents cotangents() const { return held_ ? held_->cotangents : Cotangents{}; }

    SearchNet& net_;
    Arena& arena_;
    ArchitectOptions options_;
    std::vector<int> weights_, alphas_;
    std::optional<SecondWeights> second_;
    std::optional<Arena> kept_;  // the alphas' gradients of the passes
    // By alpha range, in kept_: at w', w + e v and w - e v. With `twin` there is the difference of the last two.
    std::vector<void*> ahead_, plus_, minus_;

    HeldStep* held_ = nullptr;
    // In its values: the learning rate, the factors of the unrolled step, kernels::quotient_factors', and the squares
    // those are made of.
    double *lr_ = nullptr, *unrolled_ = nullptr, *quotient_ = nullptr;
    Tensor squares_;
};

}  // namespace nascent
