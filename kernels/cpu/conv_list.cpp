// Those of one x together, one x after the other: each has work for all threads.
#include "kernels/conv_list.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/conv_group.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/point.h"
#include "kernels/cpu/winograd_plan.h"
#include "kernels/norm.h"

namespace nascent::kernels::cpu {
namespace {

std::size_t sums_bytes(const ConvShape& s) {
    return (2 * static_cast<std::size_t>(s.c_out) * sizeof(double) + 63) / 64 * 64;
}
ConvShape shape_with(ConvShape s, int k) {
    if (k > 0) s.k = k;
    return s;
}
/// Whether convolutions with the shape's kernels do not go together: the 1x1s among them do then, by themselves.
bool by_itself(const Stream& stream, const ConvShape& s) { return stream.winograd && WinogradPlan::applies(s); }
template <class Conv>
std::vector<Conv> with_kernel(std::span<const Conv> convs, const ConvShape& s, bool one) {
    std::vector<Conv> some;
    for (const Conv& c : convs)
        if ((shape_with(s, c.k).k == 1) == one) some.push_back(c);
    return some;
}

/// f(first, count) of each run of convolutions that `together` puts with its first one.
template <class List, class Together, class F>
void for_each_group(const List& convs, std::size_t most, const Together& together, const F& f) {
    for (std::size_t first = 0, count; first < convs.size(); first += count) {
        count = 1;
        while (count < most && first + count < convs.size() && together(convs[first], convs[first + count])) count++;
        f(first, count);
    }
}

template <class T>
void forward_groups(const Stream& stream, const ConvShape& s, double eps, double momentum, std::size_t most,
                    std::span<const NormedConv<T>> convs, void* workspace) {
    void* const own = static_cast<std::byte*>(workspace) + convs.size() * sums_bytes(s);
    auto sums_of = [&](std::size_t i) {
        return convs[i].mean ? reinterpret_cast<double*>(static_cast<std::byte*>(workspace) + i * sums_bytes(s))
                             : nullptr;
    };
    const Prologue<T> relu{nullptr, nullptr, true};
    auto one_x = [](const NormedConv<T>& a, const NormedConv<T>& b) { return a.x == b.x; };
    for_each_group(convs, most, one_x, [&](std::size_t first, std::size_t count) {
        const NormedConv<T>& c = convs[first];
        if (count == 1 && c.z)
            return kernels::conv_forward<T>(stream, shape_with(s, c.k), c.x, relu, c.w, c.z, sums_of(first), own);
        std::vector<GroupConv<T>> group;
        double* moments = nullptr;
        for (std::size_t i = first; i < first + count; i++) {
            if (convs[i].z)
                group.push_back({convs[i].w, shape_with(s, convs[i].k).k, convs[i].z, sums_of(i)});
            else if (convs[i].mean)
                moments = convs[i].moments;
        }
        if (!group.empty() || moments) conv_group_forward<T>(stream, s, c.x, relu, group, moments, own);
        for (std::size_t i = first; moments && i < first + count; i++)
            if (!convs[i].z) point_sums(s.c_in, moments, convs[i].w, sums_of(i));
    });
    for (std::size_t i = 0; i < convs.size(); i++) {
        const NormedConv<T>& c = convs[i];
        if (!c.mean) continue;
        kernels::norm_finish<T>(stream, {s.c_out, s.pixels() * static_cast<std::size_t>(s.fold), eps, momentum},
                                sums_of(i), nullptr, nullptr, c.running_mean, c.running_var, c.mean, c.rstd, c.scale,
                                c.shift);
        if (s.fold == 1) continue;
        fold_in_place(c.mean, s.c_out, s.fold), fold_in_place(c.rstd, s.c_out, s.fold);
        fold_in_place(c.scale, s.c_out, s.fold), fold_in_place(c.shift, s.c_out, s.fold);
    }
}

template <class T>
void backward_groups(const Stream& stream, const ConvShape& s, std::size_t most,
                     std::span<const NormedConvBackward<T>> convs, void* workspace) {
    const Prologue<T> relu{nullptr, nullptr, true};
    auto one_x = [](const NormedConvBackward<T>& a, const NormedConvBackward<T>& b) {
        return a.x == b.x && a.da == b.da;
    };
    for_each_group(convs, most, one_x, [&](std::size_t first, std::size_t count) {
        const NormedConvBackward<T>& c = convs[first];
        std::vector<GroupConvBackward<T>> group;
        for (const NormedConvBackward<T>& g : convs.subspan(first, count))
            group.push_back({g.w, shape_with(s, g.k).k, g.dy, g.fold, g.dw, g.accumulate_dw});
        if (count == 1 && !group[0].point())
            return kernels::conv_backward<T>(stream, shape_with(s, c.k), c.x, relu, c.w, c.dy, c.fold, c.da, true, c.dw,
                                             c.accumulate_dw, workspace);
        conv_group_backward<T>(stream, s, c.x, relu, group, c.da, true, workspace);
    });
}

}  // namespace

template <class T>
void normed_convs_forward(const Stream& stream, const ConvShape& s, double eps, double momentum,
                          std::span<const NormedConv<T>> convs, void* workspace) {
    if (!by_itself(stream, s)) return forward_groups<T>(stream, s, eps, momentum, convs.size(), convs, workspace);
    forward_groups<T>(stream, shape_with(s, 1), eps, momentum, convs.size(), with_kernel(convs, s, true), workspace);
    forward_groups<T>(stream, s, eps, momentum, 1, with_kernel(convs, s, false), workspace);
}
template <class T>
void normed_convs_backward(const Stream& stream, const ConvShape& s, std::span<const NormedConvBackward<T>> convs,
                           void* workspace) {
    if (!by_itself(stream, s)) return backward_groups<T>(stream, s, conv_group_most(s, sizeof(T)), convs, workspace);
    const ConvShape one = shape_with(s, 1);
    backward_groups<T>(stream, one, conv_group_most(one, sizeof(T)), with_kernel(convs, s, true), workspace);
    backward_groups<T>(stream, s, 1, with_kernel(convs, s, false), workspace);
}

std::size_t normed_convs_forward_workspace(const Stream& stream, const ConvShape& s, std::size_t element,
                                           std::size_t count) {
    std::size_t most = kernels::conv_forward_workspace(stream, s, element);
    for (const ConvShape& shape : {s, shape_with(s, 1)})
        if (!by_itself(stream, shape))
            most = std::max(most, conv_group_forward_workspace(stream, shape, element, count));
    return count * sums_bytes(s) + most;
}
std::size_t normed_convs_backward_workspace(const Stream& stream, const ConvShape& s, std::size_t element,
                                            std::size_t count) {
    std::size_t most = kernels::conv_backward_workspace(stream, s, element);
    for (const ConvShape& shape : {s, shape_with(s, 1)})
        if (!by_itself(stream, shape))
            most = std::max(most, conv_group_backward_workspace(stream, shape, element,
                                                                std::min(count, conv_group_most(shape, element))));
    return most;
}

#define NASCENT_CONV_LIST(T)                                                            \
    template void normed_convs_forward(const Stream&, const ConvShape&, double, double, \
                                       std::span<const NormedConv<T>>, void*);          \
    template void normed_convs_backward(const Stream&, const ConvShape&, std::span<const NormedConvBackward<T>>, void*);
NASCENT_CONV_LIST(float)
NASCENT_CONV_LIST(double)
#undef NASCENT_CONV_LIST

}  // namespace nascent::kernels::cpu
