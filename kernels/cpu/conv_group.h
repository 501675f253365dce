// Convolutions that read the same x, which is brought into planes once for all of them: what kernels/conv_list.h is
// made of.
#pragma once
#include <span>

#include "kernels/conv.h"

namespace nascent::kernels::cpu {

/// k is 1 or the shape's; a 1x1 among 3x3s reads the middle of their windows.
template <class T>
struct GroupConv {
    const T* w;
    int k;
    T* z;
    double* sums;  // as conv_forward's
};

template <class T>
struct GroupConvBackward {
    const T* w;
    int k;
    const T* dy;
    NormFold<T> fold;
    T* dw;  // null: not wanted
    bool accumulate_dw;
    /// Whether it is a 1x1 whose z is not stored (kernels/conv_list.h).
    bool point() const { return !fold.z && fold.scale; }
};

/// As conv_forward and conv_backward without Winograd's tiles; all have sums or none. da is the gradient of all of them
/// together. With `moments` it gets those of ReLU(x), see kernels/conv_list.h; there may be no convolutions then.
template <class T>
void conv_group_forward(const Stream&, const ConvShape&, const T* x, Prologue<T>, std::span<const GroupConv<T>>,
                        double* moments, void* workspace);
template <class T>
void conv_group_backward(const Stream&, const ConvShape&, const T* x, Prologue<T>,
                         std::span<const GroupConvBackward<T>>, T* da, bool accumulate_da, void* workspace);
std::size_t conv_group_forward_workspace(const Stream&, const ConvShape&, std::size_t element, std::size_t count);
std::size_t conv_group_backward_workspace(const Stream&, const ConvShape&, std::size_t element, std::size_t count);

/// How many go back together: as many as have their weights' partial sums within 2 MiB, at least one.
std::size_t conv_group_most(const ConvShape&, std::size_t element);

}  // namespace nascent::kernels::cpu
