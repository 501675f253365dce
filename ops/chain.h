// What ops over kernels/chain.h share: a chain of convolutions with a batch-norm and an activation each, forward and
// back. Inputs of a chain stand three by three: weights, gamma, beta.
#pragma once
#include <vector>

#include "kernels/chain.h"
#include "ops/norm_args.h"

namespace nascent {

/// A convolution without bias and the batch-norm behind it. w is (k, k, c) for a depthwise one, (1, 1, c_in, c_out) for
/// a 1x1; gamma and beta (c_out), or both undefined.
struct NormedConv {
    Tensor w, gamma, beta;
    NormArgs norm;
};

/// What is no input of one link.
struct ChainLink {
    kernels::Activation activation;  // behind the norm
    int stride = 1;                  // of a depthwise convolution
    NormArgs norm;
    bool operator==(const ChainLink&) const = default;
};

/// Channels first, first + step, .. of an image tensor.
struct ChannelView {
    Tensor x;
    int first = 0, step = 1, channels = 0;
    template <class T>
    kernels::Channels<T> as() const {
        return {x.as<std::remove_const_t<T>>() + first, static_cast<int>(x.shape[3]), step};
    }
};

/// Where a chain's gradients go besides its weights; as kernels::LinkTarget.
struct ChainTarget {
    ChannelView da;  // x undefined: not wanted
    bool accumulate = false;
    ChannelView skip, round_da, round_g;
};

/// A chain on its way through an op.
class Chain {
  public:
    /// `links` outlive the chain. Throws Error(runtime) for shapes that do not fit.
    Chain(const ChannelView& x, std::span<const ChainLink> links, Inputs weights);
    /// Outputs of the convolutions and states of their norms, in the current arena. An op's output is allocated before:
    /// where nothing is kept for a backward, what lies behind it can be given back (engine/memory/arena_place.h).
    void allocate();
    /// The same from what save() kept.
    Chain(const ChannelView& x, std::span<const ChainLink> links, Inputs weights, const Saved& saved, std::size_t at);
    /// Five tensors a link: z, and the norm's scale, shift, mean, rstd.
    void save(Saved& saved) const;

    /// All convolutions and the states of their norms.
    void forward() const;
    /// What the last link gives, as part of a block's output.
    template <class T>
    kernels::ChainPart<T> output() const {
        const std::size_t last = links_.size() - 1;
        return {normed<T>(last + 1), shapes_[last].c_out};
    }
    int channels() const { return shapes_.back().c_out; }
    Shape output_shape() const;

    /// From the gradient `dy` of what the last link gives: into the target and the inputs' gradients, `into` as the
    /// chain's inputs.
    void backward(const ChannelView& dy, std::span<Into> into, const ChainTarget& target) const;

  private:
    void check(Inputs weights);
    template <class T>
    kernels::Normed<T> normed(std::size_t link) const;  // what the link reads
    template <class T>
    void run_forward() const;
    template <class T>
    void run_backward(const ChannelView& dy, std::span<Into> into, const ChainTarget& target) const;

    ChannelView x_;
    std::span<const ChainLink> links_;
    Inputs weights_;
    std::vector<kernels::LinkShape> shapes_;
    std::vector<Tensor> z_;
    std::vector<NormState> norms_;
};

/// Appends a chain's inputs.
void append_inputs(std::vector<Tensor>& to, std::span<const NormedConv> convs);

}  // namespace nascent
