// The gradients of the weights of several convolutions of one shape, side by side in one launch.
#pragma once
#include <algorithm>
#include <span>

#include "kernels/common/partials.cuh"
#include "kernels/conv.h"

namespace nascent::kernels::gpu {

/// As conv_backward's.
template <class S>
struct WeightGradient {
    const S *x, *dy;
    NormFold<S> fold;
    Compute<S>* dw;
    bool accumulate;
};

inline constexpr std::size_t kWeightGradients = 8;  // of a launch

template <class Input, class Gradient>
struct GradientItem {
    Input input;
    Gradient gradient;
};
/// What blocks read: item i has those from i * parts on in z.
template <class Input, class Gradient, std::size_t N>
struct GradientItems {
    GradientItem<Input, Gradient> of[N];
    unsigned parts;
    __device__ unsigned block_item() const { return N == 1 ? 0 : blockIdx.z / parts; }
};

/// What a launch's plan counts on, of a list of so many.
inline int gradients_of_launch(std::size_t count) { return static_cast<int>(std::min(count, kWeightGradients)); }

/// launch(items, how many, their partial sums) for runs of a list, whose plan has `grid` for each, and the second stage
/// of all. make(gradient) is an item. One alone needs no list in the kernel's parameters.
template <class Input, class Gradient, class S, class Make, class Launch>
void launch_gradients(simt::stream_t stream, const dim3& grid, const ConvShape& s,
                      std::span<const WeightGradient<S>> list, Compute<S>* partials, Make&& make, Launch&& launch) {
    const std::size_t each = static_cast<std::size_t>(s.k * s.k) * s.c_in * s.c_out;
    auto run = [&]<std::size_t N>(std::span<const WeightGradient<S>> some) {
        GradientItems<Input, Gradient, N> items = {};
        items.parts = grid.z;
        for (std::size_t i = 0; i < some.size(); i++) items.of[i] = make(some[i]);
        launch(items, static_cast<unsigned>(some.size()), partials);
        for (const WeightGradient<S>& g : some) {
            add_partials(stream, partials, grid.x, each, g.dw, g.accumulate);
            partials += grid.x * each;
        }
    };
    if (list.size() == 1) return run.template operator()<1>(list);
    for (std::size_t count; !list.empty(); list = list.subspan(count)) {
        count = std::min(list.size(), kWeightGradients);
        run.template operator()<kWeightGradients>(list.first(count));
    }
}

/// No two have one dw. `workspace` as weight_gradients_workspace for at least as many, kept until those that are held
/// (kernels/node_list.h) are added.
template <class S>
void weight_gradients(const Stream&, const ConvShape&, const Prologue<S>&, std::span<const WeightGradient<S>>,
                      void* workspace);
std::size_t weight_gradients_workspace(const Stream&, const ConvShape&, std::size_t element, std::size_t count);

}  // namespace nascent::kernels::gpu
