#include "kernels/common/dense_linear.cuh"
#include "kernels/common/products.cuh"

namespace nascent::kernels::gpu {
namespace {

constexpr int kSide = 32;        // of a block's part of the product
constexpr int kDepthChunk = 64;  // of the factors that are in shared memory at a time
constexpr unsigned kProductThreads = 128;
/// Of a factor: rows or columns with 64 of depth each, or depth with 32 of those; so far apart that neither way of
/// loading fragments meets a bank twice.
template <bool ByDepth>
constexpr int kTilePitch = ByDepth ? kDepthChunk + 4 : kSide + 8;
constexpr int kTileFloats = kDepthChunk * kTilePitch<false>;  // the larger
static_assert(kSide * kTilePitch<true> <= kTileFloats);

/// A factor of a product: element (line, depth) at [line * pitch + depth], or where depth does not come first, at
/// [depth * pitch + line].
struct Lines {
    const float* at;
    int count, pitch;
};

/// 32 lines from `first` on and 64 of depth from `from` on of k, zeros behind the ends; on its way when it returns.
template <bool ByDepth>
__device__ void fetch_tile(const Lines& f, int first, int from, int k, float* to) {
    constexpr int kGroups = (ByDepth ? kDepthChunk : kSide) / 4;
#pragma unroll
    for (int i = static_cast<int>(threadIdx.x); i < kSide * kDepthChunk / 4; i += static_cast<int>(kProductThreads)) {
        const int row = i / kGroups, column = i % kGroups * 4;
        const int line = first + (ByDepth ? row : column), depth = from + (ByDepth ? column : row);
        const bool inside = line < f.count && depth < k;
        const std::size_t at = ByDepth ? static_cast<std::size_t>(line) * f.pitch + depth
                                       : static_cast<std::size_t>(depth) * f.pitch + line;
        simt::cp_async<16>(to + row * kTilePitch<ByDepth> + column, f.at + (inside ? at : 0), inside ? 16 : 0);
    }
}

/// c (a.count, b.count) (+)= a * b over k, plus bias (null: none) of b's lines. A warp has 16 by 16 of a block's 32 by
/// 32; the next 64 of depth are fetched while those before are multiplied.
template <class P, bool AByDepth, bool BByDepth>
__global__ void __launch_bounds__(kProductThreads)
    product_kernel(Lines a, Lines b, int k, const float* bias, float* c, bool accumulate) {
    using Four = Pack<float, 4>;
    SIMT_SHARED(Four, memory, [kTileFloats]);  // two tiles of each factor
    float* const tiles = reinterpret_cast<float*>(memory);
    const int row = static_cast<int>(blockIdx.y) * kSide, column = static_cast<int>(blockIdx.x) * kSide;
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    const int down = warp / 2 * 16, across = warp % 2 * 16;
    auto fetch = [&](int from) {
        float* const to = tiles + from / kDepthChunk % 2 * 2 * kTileFloats;
        fetch_tile<AByDepth>(a, row, from, k, to);
        fetch_tile<BByDepth>(b, column, from, k, to + kTileFloats);
        simt::cp_async_commit();
    };

    float sum[2][4] = {};
    fetch(0);
    for (int from = 0; from < k; from += kDepthChunk) {
        if (from + kDepthChunk < k) {
            fetch(from + kDepthChunk);
            simt::cp_async_wait<1>();
        } else {
            simt::cp_async_wait<0>();
        }
        __syncthreads();
        const float* const left = tiles + from / kDepthChunk % 2 * 2 * kTileFloats;
        const float* const right = left + kTileFloats;
#pragma unroll
        for (int depth = 0; depth < kDepthChunk; depth += P::kDepth) {
            unsigned x[4];
            if (AByDepth)
                P::load_rows(x, left + (down + lane % 16) * kTilePitch<true> + depth + lane / 16 * 4);
            else
                P::load_left(x, left + depth * kTilePitch<false> + down, kTilePitch<false>);
#pragma unroll
            for (int i = 0; i < 4; i++) x[i] = P::rounded(x[i]);
#pragma unroll
            for (int j = 0; j < 2; j++) {
                unsigned y[2];
                if (BByDepth)
                    P::load_columns(y, right + (across + j * 8) * kTilePitch<true> + depth, kTilePitch<true>);
                else
                    P::load_right(y, right + depth * kTilePitch<false> + across + j * 8, kTilePitch<false>);
                y[0] = P::rounded(y[0]), y[1] = P::rounded(y[1]);
                P::multiply(sum[j], x, y);
            }
        }
        __syncthreads();  // these tiles have been read
    }

#pragma unroll
    for (int j = 0; j < 2; j++) {
        Pack<float, 4> v = own_row(sum[j]);
        const int r = row + down + own_row_of_16(), o = column + across + j * 8 + own_column_of_8();
        if (r >= a.count || o >= b.count) continue;
        float* const to = c + static_cast<std::size_t>(r) * b.count + o;
        if (bias)
#pragma unroll
            for (int i = 0; i < 4; i++) v.v[i] += bias[o + i];
        if (accumulate) {
            const Pack<float, 4> before = load<4>(to);
#pragma unroll
            for (int i = 0; i < 4; i++) v.v[i] += before.v[i];
        }
        store(to, v);
    }
}

template <bool AByDepth, bool BByDepth>
void multiply(const Stream& stream, const Lines& a, const Lines& b, int k, const float* bias, float* c,
              bool accumulate) {
    auto parts = [](int size) { return static_cast<unsigned>((size + kSide - 1) / kSide); };
    simt::launch(
        product_kernel<Tf32, AByDepth, BByDepth>,
        {dim3(parts(b.count), parts(a.count)), dim3(kProductThreads), 0, static_cast<simt::stream_t>(stream.handle)}, a,
        b, k, bias, c, accumulate);
}

/// Below a million products a launch takes as long whatever multiplies.
bool has_dense_linear(const Stream& stream, int n, int in, int out, std::initializer_list<const float*> tensors) {
    return stream.precision == Precision::tf32 && out % 4 == 0 && wide<float>(in, tensors) &&
           static_cast<double>(n) * in * out >= 1 << 20;
}

}  // namespace

bool dense_linear_forward(const Stream& stream, int n, int in, int out, const float* x, const float* w,
                          const float* bias, float* y) {
    if (!has_dense_linear(stream, n, in, out, {x, w, y})) return false;
    multiply<true, true>(stream, {x, n, in}, {w, out, in}, in, bias, y, false);
    return true;
}
bool dense_linear_dx(const Stream& stream, int n, int in, int out, const float* w, const float* dy, float* dx,
                     bool accumulate) {
    if (!has_dense_linear(stream, n, in, out, {w, dy, dx})) return false;
    multiply<true, false>(stream, {dy, n, out}, {w, in, in}, out, nullptr, dx, accumulate);
    return true;
}
bool dense_linear_dw(const Stream& stream, int n, int in, int out, const float* x, const float* dy, float* dw,
                     bool accumulate) {
    if (!has_dense_linear(stream, n, in, out, {x, dy, dw})) return false;
    multiply<false, false>(stream, {dy, out, out}, {x, in, in}, n, nullptr, dw, accumulate);
    return true;
}

}  // namespace nascent::kernels::gpu
