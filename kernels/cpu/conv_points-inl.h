// 1x1 convolutions of a group whose results are not stored (kernels/conv_list.h): what they need of an image, and their
// part of the data gradient. Compiled once per target.
#if defined(NASCENT_KERNELS_CPU_CONV_POINTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CONV_POINTS_INL_H_
#undef NASCENT_KERNELS_CPU_CONV_POINTS_INL_H_
#else
#define NASCENT_KERNELS_CPU_CONV_POINTS_INL_H_
#endif

#include <algorithm>
#include <vector>

#include "kernels/cpu/conv_group.h"
#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/point.h"
#include "kernels/cpu/point_runs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// An image's part of the sums of products of ReLU(x)'s channels, and of the channels: (c + 1, c * fold).
template <class T>
void add_moments(PointRuns<T>& runs, const T* x, int pixels, int width, double* to) {
    for (int first = 0; first < pixels; first += kPointRun) {
        const int count = std::min(kPointRun, pixels - first);
        runs.fill(0, x + static_cast<std::size_t>(first) * width, static_cast<std::size_t>(width), count);
        runs.add_own_products(count, to);
        runs.add_sums(count, to + runs.products());
    }
}

/// What 1x1s whose z is not stored give back: those that go along with another convolution of the same dy, by it.
template <class T>
struct GroupPoints {
    std::vector<const T*> along;  // their weights by dy, (c_out, ci_padded); null: none
    std::vector<char> goes_along;
    const T* by_input = nullptr;  // of all together: weights by ReLU(x), (c_in, ci_padded)
    const T* shift = nullptr;     // (ci_padded)

    /// `weights` get those by dy of the 1x1s, in the workspace; nothing where the data gradient is not `wanted`.
    GroupPoints(const ConvPlan& p, std::span<const cpu::GroupConvBackward<T>> convs, bool wanted,
                const BackwardLayout& layout, void* workspace, std::vector<const T*>& weights)
        : along(convs.size(), nullptr), goes_along(convs.size(), 0) {
        if (!wanted) return;
        const ConvShape& s = p.s;
        PointBack back(s.c_in);
        std::vector<T> own(static_cast<std::size_t>(s.c_in) * s.c_in);
        bool any = false;
        for (std::size_t i = 0; i < convs.size(); i++) {
            const cpu::GroupConvBackward<T>& c = convs[i];
            if (!c.point()) continue;
            back.add(c.w, s.fold, c.fold.scale, c.fold.slope, c.fold.shift, own.data());
            T* const to = at_bytes<T>(workspace, layout.w + layout.w_size * i);
            fold_rows(p, own.data(), to);
            weights[i] = to;
            for (std::size_t k = 0; k < convs.size() && !goes_along[i]; k++) {
                if (convs[k].point() || convs[k].dy != c.dy || along[k]) continue;
                along[k] = to, goes_along[i] = 1;
            }
            any = true;
        }
        if (!any) return;
        T* const of_input = at_bytes<T>(workspace, layout.by_input);
        T* const shifts = of_input + static_cast<std::size_t>(s.c_in) * p.ci_padded;
        std::copy(back.by_input.begin(), back.by_input.end(), own.begin());
        fold_rows(p, own.data(), of_input);
        std::copy(back.shift.begin(), back.shift.end(), own.begin());
        fold_row(own.data(), 1, s.c_in, s.fold, p.ci_padded, shifts);
        by_input = of_input, shift = shifts;
    }

  private:
    static void fold_rows(const ConvPlan& p, const T* w, T* to) {
        for (int r = 0; r < p.s.c_in; r++)
            fold_row(w + static_cast<std::size_t>(r) * p.s.c_in, 1, p.s.c_in, p.s.fold, p.ci_padded,
                     to + static_cast<std::size_t>(r) * p.ci_padded);
    }
};

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
