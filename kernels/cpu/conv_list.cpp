// One after the other: each has work for all threads.
#include "kernels/conv_list.h"

#include <cstdint>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/folded.h"
#include "kernels/norm.h"

namespace nascent::kernels::cpu {
namespace {

std::size_t sums_bytes(const ConvShape& s) {
    return (2 * static_cast<std::size_t>(s.c_out) * sizeof(double) + 63) / 64 * 64;
}

}  // namespace

template <class T>
void normed_convs_forward(const Stream& stream, const ConvShape& s, double eps, double momentum,
                          std::span<const NormedConv<T>> convs, void* workspace) {
    void* const own = static_cast<std::byte*>(workspace) + sums_bytes(s);
    for (const NormedConv<T>& c : convs) {
        double* const sums = c.mean ? static_cast<double*>(workspace) : nullptr;
        kernels::conv_forward<T>(stream, s, c.x, {nullptr, nullptr, true}, c.w, c.z, sums, own);
        if (!sums) continue;
        kernels::norm_finish<T>(stream, {s.c_out, s.pixels() * static_cast<std::size_t>(s.fold), eps, momentum}, sums,
                                nullptr, nullptr, c.running_mean, c.running_var, c.mean, c.rstd, c.scale, c.shift);
        if (s.fold == 1) continue;
        fold_in_place(c.mean, s.c_out, s.fold), fold_in_place(c.rstd, s.c_out, s.fold);
        fold_in_place(c.scale, s.c_out, s.fold), fold_in_place(c.shift, s.c_out, s.fold);
    }
}
std::size_t normed_convs_forward_workspace(const Stream& stream, const ConvShape& s, std::size_t element, std::size_t) {
    return sums_bytes(s) + kernels::conv_forward_workspace(stream, s, element);
}

template <class T>
void normed_convs_backward(const Stream& stream, const ConvShape& s, std::span<const NormedConvBackward<T>> convs,
                           void* workspace) {
    for (const NormedConvBackward<T>& c : convs)
        kernels::conv_backward<T>(stream, s, c.x, {nullptr, nullptr, true}, c.w, c.dy, c.fold, c.da, true, c.dw,
                                  c.accumulate_dw, workspace);
}

#define NASCENT_CONV_LIST(T)                                                            \
    template void normed_convs_forward(const Stream&, const ConvShape&, double, double, \
                                       std::span<const NormedConv<T>>, void*);          \
    template void normed_convs_backward(const Stream&, const ConvShape&, std::span<const NormedConvBackward<T>>, void*);
NASCENT_CONV_LIST(float)
NASCENT_CONV_LIST(double)
#undef NASCENT_CONV_LIST

}  // namespace nascent::kernels::cpu
