// What the last block to come does for a whole launch: it adds what all blocks have left of some sums, in an order that
// the counts fix, and makes of them what a batch-norm needs, so that neither takes a launch of its own.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

#include "kernels/common/pack.cuh"
#include "kernels/node_list.h"
#include "kernels/norm_move.h"

namespace nascent::kernels::gpu {

/// How many blocks have come to the end of a sum. Zero between launches: the last block to come takes back what all
/// have added, so that a captured launch can be replayed. A launch takes the next ones in turn, so that those of
/// launches under way at once on a device differ, unless one of them was enqueued or captured 65,536 counts (hundreds
/// of launches) before the other: on one stream, which is what a device of the engine has, that is never so.
inline constexpr unsigned kArrivals = 1 << 16;
SIMT_GLOBAL(unsigned, arrivals, [kArrivals]);

/// `count` of them for one launch.
inline unsigned take_arrivals(std::size_t count) {
    static std::atomic<unsigned> next{0};
    return next.fetch_add(static_cast<unsigned>(count), std::memory_order_relaxed) % kArrivals;
}

/// last[i] (shared) = whether this block is the last of `expected` to come to arrival first + i. All threads of the
/// block, kThreads unless `count` is 1, call it once; what the other blocks wrote before is then seen.
__device__ inline void arrive(unsigned first, unsigned count, unsigned expected, bool* last) {
    __syncthreads();  // all have left what they summed
    for (unsigned i = threadIdx.x; i < count; i += kThreads) {
        __threadfence();
        unsigned* at = &arrivals[(first + i) % kArrivals];
        last[i] = atomicAdd(at, 1u) == expected - 1;
        if (last[i]) atomicAdd(at, 0u - expected);
        __threadfence();
    }
    __syncthreads();
}

/// Rows of partial sums, one of each block, in groups: the last block of a group adds its rows, and the last of those
/// the groups' sums, so that no block adds many.
struct RowGroups {
    unsigned rows, size, count;
    explicit RowGroups(std::size_t all) : rows(static_cast<unsigned>(all)), size(32) {
        while (size < rows / size) size *= 2;
        count = (rows + size - 1) / size;
    }
    /// Rows of memory: the blocks', then the groups'.
    std::size_t stored() const { return std::size_t{rows} + count; }
};

/// `kinds` sums of channels [first, first + columns): of kind k at row[k * channels + ..] of each row; all but the
/// first are those from `from` on.
struct SumColumns {
    int channels, kinds, from, rows;  // rows: kinds in memory
    unsigned first, columns;
    __device__ unsigned items() const { return static_cast<unsigned>(kinds) * columns; }
    __device__ std::size_t pitch() const { return static_cast<std::size_t>(rows) * channels; }
    __device__ std::size_t place(unsigned item) const {
        const unsigned k = item / columns;
        return static_cast<std::size_t>(k == 0 ? 0 : from + static_cast<int>(k) - 1) * channels + first +
               (item - k * columns);
    }
};
/// Doubles of shared memory that add_rows_of() and end_rows() want for so many items.
inline std::size_t end_doubles(unsigned threads, std::size_t items) {
    return std::max<std::size_t>(threads, items) + 1;
}

/// totals[item] (shared) = the sum of p[row * pitch + place(item)] over the rows: threads add runs of every so manieth
/// row, and the runs are added in turn. All threads of the block call it.
__device__ inline void add_rows_of(const SumColumns& c, const double* p, unsigned rows, double* totals) {
    const unsigned items = c.items(), runs = max(1u, blockDim.x / items);
    const std::size_t pitch = c.pitch();
    for (unsigned i = threadIdx.x; i < runs * items; i += blockDim.x) {
        const unsigned run = i / items;
        const double* from = p + c.place(i - run * items);
        double sum = 0;
#pragma unroll 4
        for (unsigned row = run; row < rows; row += runs) sum += from[row * pitch];
        totals[i] = sum;
    }
    __syncthreads();
    if (runs == 1) return;
    if (threadIdx.x < items)
        for (unsigned run = 1; run < runs; run++) totals[threadIdx.x] += totals[run * items + threadIdx.x];
    __syncthreads();
}

/// Adds the rows of this block's group if it is the last of them, and leaves the sum at the group's row; whether it
/// is. `memory` (shared) has end_doubles(), and may hold what other threads still read; totals are at memory + 1.
__device__ inline bool end_group(const RowGroups& g, const SumColumns& c, unsigned row, unsigned arrival,
                                 double* partials, double* memory) {
    bool* const last = reinterpret_cast<bool*>(memory);
    const unsigned group = row / g.size, members = min(g.size, g.rows - group * g.size);
    arrive(arrival + group, 1, members, last);
    if (!last[0]) return false;
    add_rows_of(c, partials + group * g.size * c.pitch(), members, memory + 1);
    double* const to = partials + (std::size_t{g.rows} + group) * c.pitch();
    for (unsigned i = threadIdx.x; i < c.items(); i += blockDim.x) to[c.place(i)] = memory[1 + i];
    return true;
}
/// Whether this block is the last of all, and has the sums over all rows at memory + 1. Counters: RowGroups::count + 1.
__device__ inline bool end_rows(const RowGroups& g, const SumColumns& c, unsigned row, unsigned arrival,
                                double* partials, double* memory) {
    if (!end_group(g, c, row, arrival, partials, memory)) return false;
    if (g.count == 1) return true;
    bool* const last = reinterpret_cast<bool*>(memory);
    arrive(arrival + g.count, 1, g.count, last);
    if (!last[0]) return false;
    add_rows_of(c, partials + g.rows * c.pitch(), g.count, memory + 1);
    return true;
}

/// norm_finish of channel c, from the sums of z and of z^2.
template <class T>
__device__ void finish_channel(const NormFinish<T>& f, int c, double sum, double squares) {
    const double n = static_cast<double>(f.shape.count), m = sum / n;
    // Rounding may leave a constant channel's variance a little below zero.
    const double raw = squares / n - m * m, var = raw > 0 ? raw : 0.0;
    const double r = 1 / std::sqrt(var + f.shape.eps);
    const double a = f.gamma ? f.gamma[c] * r : r;
    f.mean[c] = m;
    f.rstd[c] = r;
    f.scale[c] = static_cast<T>(a);
    f.shift[c] = static_cast<T>((f.beta ? static_cast<double>(f.beta[c]) : 0.0) - m * a);
    if (f.running_mean) move_running(f.shape, m, var, f.running_mean[c], f.running_var[c]);
}

/// norm_fold of channel c, from the sums of g and of g * z.
template <class T>
__device__ void fold_channel(const NormFoldOf<T>& f, int c, double s, double sz) {
    const double n = static_cast<double>(f.shape.count);
    const double g_xhat = (sz - f.mean[c] * s) * f.rstd[c];
    const double a = f.gamma ? f.gamma[c] * f.rstd[c] : f.rstd[c];
    const double b = -a * f.rstd[c] * g_xhat / n;
    f.scale[c] = static_cast<T>(a);
    f.slope[c] = static_cast<T>(b);
    f.shift[c] = static_cast<T>(-a * s / n - b * f.mean[c]);
    if (f.dgamma) f.dgamma[c] = static_cast<T>(g_xhat + (f.accumulate_dgamma ? static_cast<double>(f.dgamma[c]) : 0.0));
    if (f.dbeta) f.dbeta[c] = static_cast<T>(s + (f.accumulate_dbeta ? static_cast<double>(f.dbeta[c]) : 0.0));
}

/// What becomes of the sums of z and of z^2: they are written, or a norm is finished (its mean is not null).
template <class T>
struct FinishEnd {
    double* sums = nullptr;
    NormFinish<T> norm = {};
    __device__ void operator()(int c, int channels, double sum, double squares) const {
        if (norm.mean) return finish_channel(norm, c, sum, squares);
        sums[c] = sum;
        sums[channels + c] = squares;
    }
};

/// A convolution's blocks have left partials (rows, 2, channels), gridDim.x rows: the last block of each blockIdx.y,
/// which has `columns` channels, ends them.
template <class T>
struct ConvEnd {
    FinishEnd<T> end;
    RowGroups groups;
    unsigned arrival;
};
template <class T>
__device__ void end_convolution(const ConvEnd<T>& e, int channels, int columns, double* partials, double* memory) {
    const int first = static_cast<int>(blockIdx.y) * columns;
    const SumColumns c{
        channels, 2, 1, 2, static_cast<unsigned>(first), static_cast<unsigned>(min(columns, channels - first))};
    if (!end_rows(e.groups, c, blockIdx.x, e.arrival + blockIdx.y * (e.groups.count + 1), partials, memory)) return;
    for (unsigned i = threadIdx.x; i < c.columns; i += blockDim.x)
        e.end(first + static_cast<int>(i), channels, memory[1 + i], memory[1 + c.columns + i]);
}

/// What becomes of sums over pixels of g and of g * z for some z: they are written, or the norms of those z are folded,
/// or where g is z, the norm is finished.
template <class T>
struct PixelSumsEnd {
    FinishEnd<T> end;
    NormFoldOf<T> folds[3] = {};
    bool has_folds = false;
    RowGroups groups;
    unsigned arrival;

    /// For the next z, at most three, of some. `blocks` share out the channels.
    PixelSumsEnd(std::size_t rows, unsigned blocks, const FinishEnd<T>& finish, std::span<const NormFoldOf<T>> some)
        : end(finish), has_folds(!some.empty()), groups(rows), arrival(take_arrivals(blocks * (groups.count + 1))) {
        std::copy(some.begin(), some.end(), folds);
    }
    /// The last block of each `block` does it. plain: the sum of g is this launch's.
    __device__ void operator()(const SumColumns& c, bool plain, unsigned row, unsigned block, double* partials,
                               double* memory) const {
        if (!end_rows(groups, c, row, arrival + block * (groups.count + 1), partials, memory)) return;
        const double* const totals = memory + 1;
        for (unsigned i = threadIdx.x; i < c.columns; i += blockDim.x) {
            const int channel = static_cast<int>(c.first + i);
            if (end.norm.mean) {
                finish_channel(end.norm, channel, totals[i], totals[c.columns + i]);
                continue;
            }
            for (int k = 0; k < c.kinds; k++) {
                const double sum = totals[static_cast<unsigned>(k) * c.columns + i];
                if (!has_folds && (k > 0 || plain))
                    end.sums[static_cast<std::size_t>(k == 0 ? 0 : c.from + k - 1) * c.channels + channel] = sum;
                if (has_folds && k > 0) fold_channel(folds[k - 1], channel, totals[i], sum);
            }
        }
    }
};

/// What node_list.h offers to the kernels of this thread.
template <class T>
struct Offers {
    const double* finish_for = nullptr;
    NormFinish<T> finish = {};
    const double* folds_for = nullptr;
    std::span<const NormFoldOf<T>> folds = {};
};
template <class T>
Offers<T>& offers() {
    thread_local Offers<T> mine;
    return mine;
}
/// What is to become of these sums: an offer for them is taken.
template <class T>
FinishEnd<T> take_finish(double* sums) {
    Offers<T>& mine = offers<T>();
    if (!sums || mine.finish_for != sums) return {sums, {}};
    mine.finish_for = nullptr;
    return {nullptr, mine.finish};
}
/// The folds that are offered for these sums; empty: none.
template <class T>
std::span<const NormFoldOf<T>> take_folds(const double* sums) {
    Offers<T>& mine = offers<T>();
    if (!sums || mine.folds_for != sums) return {};
    mine.folds_for = nullptr;
    return mine.folds;
}

}  // namespace nascent::kernels::gpu
