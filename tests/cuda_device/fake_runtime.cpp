// The runtime: devices, streams, events, graphs, and the driver's functions by name.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "tests/cuda_device/fake_cuda.h"

using namespace nascent::fake_cuda;

namespace {

using Work = std::function<void()>;

cudaError_t last = cudaSuccess;

cudaError_t answer(cudaError_t status) {
    if (status != cudaSuccess) last = status;
    return status;
}
cudaError_t refused(cudaError_t status = cudaErrorInvalidValue) {
    state().wrong++;
    return answer(status);
}
/// What the function does, unless it was told to fail.
template <class F>
cudaError_t call(const char* function, F&& work) {
    if (const int code = told(function)) return answer(static_cast<cudaError_t>(code));
    return work();
}

}  // namespace

struct CUevent_st {
    bool recorded = false;
};
struct CUgraph_st {
    std::vector<Work> nodes;
};
struct CUgraphExec_st {
    std::vector<Work> nodes;
};
struct CUstream_st {
    bool capturing = false;
    std::vector<Work> recorded;
    cudaError_t put(Work work) {
        if (capturing)
            recorded.push_back(std::move(work));
        else
            work();
        return cudaSuccess;
    }
};

namespace nascent::fake_cuda {
State& state() {
    static State all;
    return all;
}
int told(const char* function) {
    const auto found = state().failures.find(function);
    return found == state().failures.end() ? 0 : state().failures.extract(found).mapped();
}
}  // namespace nascent::fake_cuda

extern "C" {

const char* cudaGetErrorString(cudaError_t error) {
    static char buffer[32];
    std::snprintf(buffer, sizeof buffer, "runtime's error %d", static_cast<int>(error));
    return buffer;
}
cudaError_t cudaGetLastError() { return std::exchange(last, cudaSuccess); }

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned int, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
    return call(__func__, [&] {
        static const std::map<std::string, void*> all{
            {"cuMemAddressReserve", reinterpret_cast<void*>(&cuMemAddressReserve)},
            {"cuMemAddressFree", reinterpret_cast<void*>(&cuMemAddressFree)},
            {"cuMemCreate", reinterpret_cast<void*>(&cuMemCreate)},
            {"cuMemRelease", reinterpret_cast<void*>(&cuMemRelease)},
            {"cuMemMap", reinterpret_cast<void*>(&cuMemMap)},
            {"cuMemUnmap", reinterpret_cast<void*>(&cuMemUnmap)},
            {"cuMemSetAccess", reinterpret_cast<void*>(&cuMemSetAccess)},
            {"cuGetErrorString", reinterpret_cast<void*>(&cuGetErrorString)}};
        const bool has = all.contains(symbol) && !state().unknown.contains(symbol);
        *function = has ? all.at(symbol) : nullptr;
        *found = has ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
        return cudaSuccess;
    });
}

cudaError_t cudaGetDeviceCount(int* count) {
    return call(__func__, [&] {
        *count = state().devices;
        return cudaSuccess;
    });
}
cudaError_t cudaGetDevice(int* device) {
    return call(__func__, [&] {
        *device = 0;
        return cudaSuccess;
    });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    return call(__func__, [&] {
        *properties = {};
        std::snprintf(properties->name, sizeof properties->name, "%s", state().name.c_str());
        return cudaSuccess;
    });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int) {
    return call(__func__, [&] {
        *stream = new CUstream_st;
        state().streams++;
        return cudaSuccess;
    });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    state().streams--;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return call(__func__, [&] { return stream->capturing ? refused(cudaErrorStreamCaptureUnsupported) : cudaSuccess; });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t event, unsigned int) {
    return call(__func__, [&] { return event->recorded ? cudaSuccess : refused(); });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) {
    return call(__func__, [&] {
        *event = new CUevent_st;
        state().events++;
        return cudaSuccess;
    });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    return call(__func__, [&] {
        event->recorded = true;
        return cudaSuccess;
    });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    state().events--;
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* target, int value, size_t count, cudaStream_t stream) {
    return call(__func__, [&] {
        return stream->put([=] {
            if (count > 0) std::memset(target, value, count);
        });
    });
}
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t count, cudaMemcpyKind, cudaStream_t stream) {
    return call(__func__, [&] {
        return stream->put([=] {
            if (count > 0) std::memcpy(target, source, count);
        });
    });
}
cudaError_t cudaHostAlloc(void** host, size_t size, unsigned int) {
    return call(__func__, [&] {
        *host = std::malloc(size);
        state().pinned++;
        return cudaSuccess;
    });
}
cudaError_t cudaFreeHost(void* host) {
    std::free(host);
    state().pinned--;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    return call(__func__, [&] {
        if (stream->capturing) return refused(cudaErrorIllegalState);
        stream->capturing = true;
        return cudaSuccess;
    });
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    if (!stream->capturing) return refused(cudaErrorIllegalState);
    stream->capturing = false;
    auto nodes = std::exchange(stream->recorded, {});
    return call(__func__, [&] {
        *graph = new CUgraph_st{std::move(nodes)};
        state().graphs++;
        return cudaSuccess;
    });
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
    return call(__func__, [&] {
        if (nodes) return refused();
        *count = graph->nodes.size();
        return cudaSuccess;
    });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    return call(__func__, [&] {
        *executable = new CUgraphExec_st{graph->nodes};
        state().executables++;
        return cudaSuccess;
    });
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* info) {
    return call(__func__, [&] {
        const bool same = executable->nodes.size() == graph->nodes.size();
        info->result = same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged;
        if (!same) return answer(cudaErrorGraphExecUpdateFailure);
        executable->nodes = graph->nodes;
        return cudaSuccess;
    });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    return call(__func__, [&] {
        return stream->put([nodes = executable->nodes] {
            for (const Work& work : nodes) work();
        });
    });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    state().executables--;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    state().graphs--;
    return cudaSuccess;
}

}  // extern "C"
