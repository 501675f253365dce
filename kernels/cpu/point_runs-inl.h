// What 1x1 convolutions behind a ReLU whose results are not stored need of their inputs: ReLU(x) of runs of pixels, and
// its products with gradients or with itself. Compiled once per target.
#if defined(NASCENT_KERNELS_CPU_POINT_RUNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_POINT_RUNS_INL_H_
#undef NASCENT_KERNELS_CPU_POINT_RUNS_INL_H_
#else
#define NASCENT_KERNELS_CPU_POINT_RUNS_INL_H_
#endif

#include <hwy/aligned_allocator.h>

#include <vector>

#include "kernels/cpu/mixed_fill-inl.h"
#include "kernels/cpu/weight_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Pixels of a run at most: their products are summed in T before they are added to doubles.
inline constexpr int kPointRun = 128;

/// Pixels as they are.
template <class T>
struct ReadPixels {
    const T* x;
    std::size_t pixel;
    struct Constants {};
    HWY_INLINE Constants constants(int, int) const { return {}; }
    HWY_INLINE Vector<T> operator()(const Constants&, std::size_t at, int c, int count) const {
        return load_first(x + at * pixel + c, count);
    }
    HWY_INLINE void prefetch(std::size_t at, int c) const { hwy::Prefetch(x + (at + kAhead) * pixel + c); }
};

/// A run of pixels of some inputs, and of one gradient, all as wide: `width` elements a pixel, `fold` of each channel
/// (kernels/fold.h). In blocks of channels, as tiles read them.
template <class T>
class PointRuns {
  public:
    PointRuns(int width, int fold, std::size_t inputs)
        : width_(width),
          fold_(fold),
          rows_(fold > 1 ? width / fold : ceil_div(width, kBlock<T>) * kBlock<T>),
          padded_(static_cast<std::size_t>(ceil_div(width, kBlock<T>)) * kBlock<T>),
          inputs_(inputs),
          values_(hwy::AllocateAligned<T>((inputs + 1) * padded_ * kPointRun)),
          sums_(hwy::AllocateAligned<T>(inputs * rows_ * padded_)) {
        for (std::size_t i = 0; fold > 1 && i < inputs; i++)
            for (int c = 0; c < rows_; c++) {
                const int lane = c * fold;
                group_rows_.push_back(
                    {static_cast<std::ptrdiff_t>(i * padded_ * kPointRun) +
                         lane / kBlock<T> * std::ptrdiff_t{kBlock<T> * kPointRun} + lane % kBlock<T>,
                     static_cast<std::ptrdiff_t>((i * static_cast<std::size_t>(rows_) + static_cast<std::size_t>(c)) *
                                                 padded_)});
            }
    }
    int channels() const { return width_ / fold_; }
    /// Elements of an input's products: (channels, width).
    std::size_t products() const { return static_cast<std::size_t>(channels()) * static_cast<std::size_t>(width_); }
    static constexpr std::size_t block_size() { return std::size_t{kBlock<T>} * kPointRun; }
    std::size_t input_size() const { return padded_ * kPointRun; }
    T* input(std::size_t i) const { return values_.get() + i * input_size(); }

    /// ReLU(x), pixels `pixel` elements apart.
    void fill(std::size_t i, const T* x, std::size_t pixel, int pixels) {
        const Source<T> s{x, 1, pixels, width_, static_cast<int>(pixel)};
        fill_row(ReadSource<T>{s, x, pixel}, 0, 1, pixels, width_, block_size(), input(i));
    }
    void fill_gradient(const T* g, std::size_t pixel, int pixels) {
        fill_row(ReadPixels<T>{g, pixel}, 0, 1, pixels, width_, block_size(), input(inputs_));
    }
    /// sums (inputs, channels, width) += the inputs' channels times the gradient, or times the first input.
    void add_gradient_products(int pixels, double* sums) { add_products(input(inputs_), pixels, sums); }
    void add_own_products(int pixels, double* sums) { add_products(input(0), pixels, sums); }
    /// sums (width) += the first input.
    void add_sums(int pixels, double* sums) const {
        for (int c = 0; c < width_; c += kLanes<T>) {
            const T* from = input(0) + c / kBlock<T> * block_size() + c % kBlock<T>;
            Vector<T> sum = zero<T>();
            for (int p = 0; p < pixels; p++) sum = hn::Add(sum, load(from + p * kBlock<T>));
            add_to_double<T>(sum, sums + c, width_ - c);
        }
    }

  private:
    void add_products(const T* with, int pixels, double* to) {
        const auto rows = static_cast<std::size_t>(rows_);
        const int vectors = ceil_div(width_, kLanes<T>);
        std::fill_n(sums_.get(), inputs_ * rows * padded_, T(0));
        const Window<T> window{values_.get(), 0, with, 0, block_size(), 1, pixels};
        if (fold_ > 1)
            group_weight_gradient(window, fold_, std::span<const GroupRow>(group_rows_), vectors, sums_.get());
        for (std::size_t i = 0; fold_ == 1 && i < inputs_; i++)
            for (int b = 0; b * kBlock<T> < width_; b++) {
                Window<T> of_block = window;
                of_block.a = input(i) + b * block_size();
                weight_gradient(of_block, std::min(kBlock<T>, width_ - b * kBlock<T>), vectors,
                                sums_.get() + (i * rows + static_cast<std::size_t>(b) * kBlock<T>)*padded_, padded_);
            }
        for (std::size_t i = 0; i < inputs_; i++)
            for (int c = 0; c < channels(); c++, to += width_) {
                const T* from = sums_.get() + (i * rows + static_cast<std::size_t>(c)) * padded_;
                for (int k = 0; k < width_; k++) to[k] += static_cast<double>(from[k]);
            }
    }
    int width_, fold_, rows_;
    std::size_t padded_, inputs_;
    hwy::AlignedFreeUniquePtr<T[]> values_,
        sums_;  // (inputs and the gradient, blocks, run, kBlock); (inputs, rows, ..)
    std::vector<GroupRow> group_rows_;
};

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
