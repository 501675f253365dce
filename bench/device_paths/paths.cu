#include <string>

#include "bench/device_paths/paths.h"
#include "kernels/common/pack.cuh"

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#include <stdexcept>
#endif

namespace nascent::bench {
namespace {

using namespace kernels::gpu;

/// Element `at` of what operator Op makes of x.
template <int Op>
__device__ float element(const Layers& s, const float* x, const float* weights, unsigned at) {
    const unsigned c = static_cast<unsigned>(s.c), channel = at % c, pixel = at / c;
    const int column = static_cast<int>(pixel % static_cast<unsigned>(s.w)),
              row = static_cast<int>(pixel / static_cast<unsigned>(s.w) % static_cast<unsigned>(s.h));
    if constexpr (Op == 0) return 0;
    if constexpr (Op == 1) return x[at];
    const int reach = Op == 2 ? 0 : 1;
    float sum = 0;
    int pixels = 0;
    for (int dy = -reach; dy <= reach; dy++)
        for (int dx = -reach; dx <= reach; dx++) {
            if (row + dy < 0 || row + dy >= s.h || column + dx < 0 || column + dx >= s.w) continue;
            pixels++;
            const float* from = x + (static_cast<std::ptrdiff_t>(pixel) + dy * s.w + dx) * s.c;
            if constexpr (Op == 4) {
                sum += from[channel];
            } else {
                const int tap = Op == 2 ? 0 : 1 + (dy + 1) * 3 + dx + 1;
                const float* w = weights + static_cast<std::size_t>(tap) * c * c;
                for (unsigned k = 0; k < c; k++) sum = std::fma(from[k] > 0 ? from[k] : 0.0f, w[k * c + channel], sum);
            }
        }
    return Op == 4 ? sum / static_cast<float>(pixels) : sum;
}

template <int Op>
__global__ void __launch_bounds__(kThreads)
    chosen_kernel(Layers s, unsigned size, const float* x, const float* weights, float* y) {
    if (item() < size) y[item()] = element<Op>(s, x, weights, item());
}

__global__ void __launch_bounds__(kThreads)
    reading_kernel(Layers s, unsigned size, const int* op, const float* x, const float* weights, float* y) {
    if (item() >= size) return;
    float v = 0;
    switch (*op) {  // the same for all threads
        case 1:
            v = element<1>(s, x, weights, item());
            break;
        case 2:
            v = element<2>(s, x, weights, item());
            break;
        case 3:
            v = element<3>(s, x, weights, item());
            break;
        case 4:
            v = element<4>(s, x, weights, item());
            break;
        default:
            break;
    }
    y[item()] = v;
}

kernels::Stream stream_of(void* stream) { return {kernels::Where::gpu, stream}; }
struct Place {
    const float *x, *weights;
    float* y;
    Place(const Layers& l, int layer)
        : x(l.x[layer % 2]),
          weights(l.weights + static_cast<std::size_t>(layer) * l.layer_weights()),
          y(l.x[(layer + 1) % 2]) {}
};

void launch_one(void* stream, const Layers& l, int layer, int op) {
    const Place at(l, layer);
    const auto launch = [&](auto kernel) {
        simt::launch(kernel, items(stream_of(stream), l.size()), l, items(l.size()), at.x, at.weights, at.y);
    };
    switch (op) {
        case 0:
            return launch(chosen_kernel<0>);
        case 1:
            return launch(chosen_kernel<1>);
        case 2:
            return launch(chosen_kernel<2>);
        case 3:
            return launch(chosen_kernel<3>);
        default:
            return launch(chosen_kernel<4>);
    }
}

}  // namespace

void run_chosen(void* stream, const Layers& l, std::span<const int> path) {
    for (int layer = 0; layer < l.count; layer++) launch_one(stream, l, layer, path[static_cast<std::size_t>(layer)]);
}

void run_reading(void* stream, const Layers& l, const int* path) {
    for (int layer = 0; layer < l.count; layer++) {
        const Place at(l, layer);
        simt::launch(reading_kernel, items(stream_of(stream), l.size()), l, items(l.size()), path + layer, at.x,
                     at.weights, at.y);
    }
}

#if defined(__CUDACC__) && CUDART_VERSION >= 12080
namespace {

void check(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

__global__ void condition_kernel(cudaGraphConditionalHandle handle, const int* op) {
    cudaGraphSetConditional(handle, static_cast<unsigned>(*op));
}

class CudaSwitchGraph final : public SwitchGraph {
  public:
    CudaSwitchGraph(cudaStream_t stream, const Layers& layers, const int* path) : stream_(stream) {
        check(cudaGraphCreate(&graph_, 0));
        cudaGraphNode_t last = nullptr;
        for (int layer = 0; layer < layers.count; layer++) {
            cudaGraphConditionalHandle handle;
            check(cudaGraphConditionalHandleCreate(&handle, graph_));
            const int* op = path + layer;
            void* arguments[] = {&handle, &op};
            cudaGraphNodeParams set = {};
            set.type = cudaGraphNodeTypeKernel;
            set.kernel.func = reinterpret_cast<void*>(condition_kernel);
            set.kernel.gridDim = set.kernel.blockDim = dim3(1);
            set.kernel.kernelParams = arguments;
            last = add(last, set);
            cudaGraphNodeParams choose = {};
            choose.type = cudaGraphNodeTypeConditional;
            choose.conditional.handle = handle;
            choose.conditional.type = cudaGraphCondTypeSwitch;
            choose.conditional.size = kOperators;
            last = add(last, choose);
            for (int o = 0; o < kOperators; o++) {
                cudaGraph_t body = choose.conditional.phGraph_out[o];
                check(cudaStreamBeginCaptureToGraph(stream_, body, nullptr, nullptr, 0,
                                                    cudaStreamCaptureModeThreadLocal));
                launch_one(stream_, layers, layer, o);
                check(cudaStreamEndCapture(stream_, &body));
            }
        }
        check(cudaGraphInstantiate(&executable_, graph_, 0));
    }
    ~CudaSwitchGraph() override {
        if (executable_) cudaGraphExecDestroy(executable_);
        cudaGraphDestroy(graph_);
    }
    void launch() override { check(cudaGraphLaunch(executable_, stream_)); }

  private:
    cudaGraphNode_t add(cudaGraphNode_t after, cudaGraphNodeParams& params) {
        cudaGraphNode_t node;
#if CUDART_VERSION >= 13000
        check(cudaGraphAddNode(&node, graph_, &after, nullptr, after ? 1 : 0, &params));
#else
        check(cudaGraphAddNode(&node, graph_, &after, after ? 1 : 0, &params));
#endif
        return node;
    }
    cudaStream_t stream_;
    cudaGraph_t graph_ = nullptr;
    cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<SwitchGraph> make_switch_graph(void* stream, const Layers& layers, const int* path) {
    return std::make_unique<CudaSwitchGraph>(static_cast<cudaStream_t>(stream), layers, path);
}
#else
std::unique_ptr<SwitchGraph> make_switch_graph(void*, const Layers&, const int*) { return nullptr; }
#endif

}  // namespace nascent::bench
