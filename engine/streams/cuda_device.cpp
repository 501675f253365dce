// The gpu of a build with CUDA. The driver's calls are asked for at run time and not linked, so that the program starts
// on machines without a driver.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <iterator>
#include <map>
#include <memory>
#include <type_traits>
#include <vector>

#include "engine/base/error.h"
#include "engine/streams/device.h"

namespace nascent {
namespace {

void check(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return;
    const ErrorKind kind = status == cudaErrorMemoryAllocation ? ErrorKind::device : ErrorKind::runtime;
    fail(kind, "gpu: {}: {}", what, cudaGetErrorString(status));
}

/// The driver's functions for virtual memory (CUDA 10.2's versions).
struct Driver {
    Driver() {
        find("cuMemAddressReserve", reserve);
        find("cuMemAddressFree", free);
        find("cuMemCreate", create);
        find("cuMemRelease", release);
        find("cuMemMap", map);
        find("cuMemUnmap", unmap);
        find("cuMemSetAccess", set_access);
        find("cuGetErrorString", error_string);
    }
    void check(CUresult status, const char* what) const {
        if (status == CUDA_SUCCESS) return;
        const char* text = "unknown error";
        error_string(status, &text);
        fail(ErrorKind::device, "gpu: {}: {}", what, text);
    }
    decltype(&cuMemAddressReserve) reserve;
    decltype(&cuMemAddressFree) free;
    decltype(&cuMemCreate) create;
    decltype(&cuMemRelease) release;
    decltype(&cuMemMap) map;
    decltype(&cuMemUnmap) unmap;
    decltype(&cuMemSetAccess) set_access;
    decltype(&cuGetErrorString) error_string;

  private:
    template <class F>
    static void find(const char* name, F& function) {
        void* address = nullptr;
        cudaDriverEntryPointQueryResult found;
        nascent::check(cudaGetDriverEntryPointByVersion(name, &address, 12000, cudaEnableDefault, &found), name);
        NASCENT_CHECK(found == cudaDriverEntryPointSuccess, device, "gpu: the driver has no {}; it is too old", name);
        function = reinterpret_cast<F>(address);
    }
};

/// A handle that is given back also where what is to follow fails.
template <auto Destroy>
struct Destroyer {
    template <class T>
    void operator()(T* handle) const {
        Destroy(handle);
    }
};
template <class Handle, auto Destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroyer<Destroy>>;

class CudaEvent final : public Event {
  public:
    explicit CudaEvent(cudaStream_t stream) {
        cudaEvent_t event = nullptr;
        check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
        event_.reset(event);
        check(cudaEventRecord(event, stream), "an event");
    }
    cudaEvent_t get() const { return event_.get(); }

  private:
    Owned<cudaEvent_t, cudaEventDestroy> event_;
};

void wait_for(cudaStream_t stream, const Event& event) {
    check(cudaStreamWaitEvent(stream, static_cast<const CudaEvent&>(event).get(), 0), "waiting for an event");
}

class CudaTransfers final : public TransferStream {
  public:
    CudaTransfers() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream"); }
    ~CudaTransfers() override {
        cudaStreamSynchronize(stream_);
        cudaStreamDestroy(stream_);
    }
    void copy_in(void* target, const void* host, std::size_t bytes) override {
        check(cudaMemcpyAsync(target, host, bytes, cudaMemcpyHostToDevice, stream_), "a copy to the gpu");
    }
    std::unique_ptr<Event> record() override { return std::make_unique<CudaEvent>(stream_); }
    void wait(const Event& event) override { wait_for(stream_, event); }
    void synchronize() override { check(cudaStreamSynchronize(stream_), "transfers"); }

  private:
    cudaStream_t stream_ = nullptr;
};

class CudaGraph final : public Graph {
  public:
    /// Takes the graph over.
    CudaGraph(cudaStream_t stream, cudaGraph_t graph, std::int64_t& launches)
        : stream_(stream), graph_(graph), launches_(launches) {
        check(cudaGraphGetNodes(graph, nullptr, &nodes_), "a captured graph");
        cudaGraphExec_t executable = nullptr;
        check(cudaGraphInstantiate(&executable, graph, 0), "a captured graph");
        executable_.reset(executable);
    }
    void launch() override {
        launches_++;
        check(cudaGraphLaunch(executable_.get(), stream_), "launching a graph");
    }
    bool update(const Graph& other) override {
        cudaGraphExecUpdateResultInfo info;
        const auto status =
            cudaGraphExecUpdate(executable_.get(), static_cast<const CudaGraph&>(other).graph_.get(), &info);
        if (status == cudaErrorGraphExecUpdateFailure) {
            cudaGetLastError();  // it is the answer and no failure of what comes next
            return false;
        }
        check(status, "updating a graph");
        return true;
    }
    std::size_t nodes() const override { return nodes_; }

  private:
    cudaStream_t stream_;
    Owned<cudaGraph_t, cudaGraphDestroy> graph_;
    Owned<cudaGraphExec_t, cudaGraphExecDestroy> executable_;
    std::size_t nodes_ = 0;
    std::int64_t& launches_;
};

class CudaDevice final : public Device {
  public:
    CudaDevice() {
        check(cudaGetDevice(&ordinal_), "no device");
        cudaDeviceProp properties;
        check(cudaGetDeviceProperties(&properties, ordinal_), "no device");
        name_ = properties.name;
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
    }
    ~CudaDevice() override {
        cudaStreamSynchronize(stream_);
        cudaStreamDestroy(stream_);
    }
    DeviceKind kind() const override { return DeviceKind::gpu; }
    std::string name() const override { return "gpu (" + name_ + ")"; }
    void* reserve(std::size_t bytes) override {
        CUdeviceptr p = 0;
        driver_.check(driver_.reserve(&p, bytes, 0, 0, 0), "cannot reserve address space");
        reservations_[p] = {bytes, 0, {}};
        return reinterpret_cast<void*>(p);
    }
    void commit(void* address, std::size_t bytes) override {
        not_capturing("memory is committed");
        const auto at = reinterpret_cast<CUdeviceptr>(address);
        auto found = reservations_.upper_bound(at);
        NASCENT_CHECK(found != reservations_.begin(), runtime, "commit outside a reservation");
        Reservation& r = std::prev(found)->second;
        NASCENT_CHECK(at == std::prev(found)->first + r.committed, runtime, "memory is committed in ascending order");
        CUmemAllocationProp property{};
        property.type = CU_MEM_ALLOCATION_TYPE_PINNED;
        property.location = {CU_MEM_LOCATION_TYPE_DEVICE, ordinal_};
        CUmemGenericAllocationHandle memory = 0;
        driver_.check(driver_.create(&memory, bytes, &property, 0), "out of memory");
        const CUresult mapped = driver_.map(at, bytes, 0, memory, 0);
        driver_.release(memory);  // the mapping keeps it
        driver_.check(mapped, "cannot map memory");
        r.committed += bytes;
        r.parts.push_back(bytes);
        CUmemAccessDesc access{};
        access.location = property.location;
        access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
        driver_.check(driver_.set_access(at, bytes, &access, 1), "cannot map memory");
        fill(address, 0, bytes);
    }
    void release(void* reservation, std::size_t) override {
        cudaStreamSynchronize(stream_);  // what is under way may use it; its errors are told to who waits for results
        const auto found = reservations_.find(reinterpret_cast<CUdeviceptr>(reservation));
        if (found == reservations_.end()) return;
        CUdeviceptr at = found->first;
        for (std::size_t part : found->second.parts) {
            driver_.unmap(at, part);
            at += part;
        }
        driver_.free(found->first, found->second.bytes);
        reservations_.erase(found);
    }
    void fill(void* target, int byte, std::size_t bytes) override {
        check(cudaMemsetAsync(target, byte, bytes, stream_), "a fill");
    }
    void copy_in(void* target, const void* host, std::size_t bytes) override {
        not_capturing("the host's memory is copied");
        // From pageable memory: staged by the time it returns.
        check(cudaMemcpyAsync(target, host, bytes, cudaMemcpyHostToDevice, stream_), "a copy to the gpu");
    }
    void copy_out(void* host, const void* source, std::size_t bytes) override {
        not_capturing("the host waits");
        check(cudaMemcpyAsync(host, source, bytes, cudaMemcpyDeviceToHost, stream_), "a copy from the gpu");
        check(cudaStreamSynchronize(stream_), "a kernel");
    }
    void synchronize() override {
        not_capturing("the host waits");
        check(cudaStreamSynchronize(stream_), "a kernel");
    }
    void* stream() override { return stream_; }
    bool can_capture() const override { return true; }
    void begin_capture() override {
        not_capturing("another one begins");
        check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "a capture");
        capturing_ = true;
    }
    std::unique_ptr<Graph> end_capture() override {
        NASCENT_CHECK(capturing_, runtime, "no capture has begun");
        capturing_ = false;
        cudaGraph_t graph = nullptr;
        check(cudaStreamEndCapture(stream_, &graph), "a capture");
        return std::make_unique<CudaGraph>(stream_, graph, launches_);
    }
    bool capturing() const override { return capturing_; }
    void* allocate_host(std::size_t bytes) override {
        void* p = nullptr;
        check(cudaHostAlloc(&p, bytes, cudaHostAllocDefault), "pinned memory");
        return p;
    }
    void free_host(void* host) override { cudaFreeHost(host); }
    std::unique_ptr<TransferStream> make_transfer_stream() override { return std::make_unique<CudaTransfers>(); }
    void wait(const Event& event) override { wait_for(stream_, event); }
    std::unique_ptr<Event> record() override { return std::make_unique<CudaEvent>(stream_); }
    std::int64_t launches() const override { return launches_; }

  private:
    struct Reservation {
        std::size_t bytes, committed;
        std::vector<std::size_t> parts;  // as they were mapped, from the start on
    };
    void not_capturing(const char* what) const { NASCENT_CHECK(!capturing_, runtime, "{} inside a capture", what); }
    Driver driver_;
    int ordinal_ = 0;
    std::string name_;
    cudaStream_t stream_ = nullptr;
    bool capturing_ = false;
    std::int64_t launches_ = 0;
    std::map<CUdeviceptr, Reservation> reservations_;
};

}  // namespace

std::unique_ptr<Device> make_gpu_device() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    NASCENT_CHECK(status == cudaSuccess && count > 0, device,
                  "--device gpu: no GPU can be used ({}). Use --device cpu; a build with NASCENT_CUDA=OFF can run the "
                  "GPU's kernels on the CPU, for checking, where NASCENT_EMULATE=1 is set",
                  status == cudaSuccess ? "there is none" : cudaGetErrorString(status));
    return std::make_unique<CudaDevice>();
}

}  // namespace nascent
