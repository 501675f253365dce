// The gpu of a build without CUDA: kernels run on the CPU through the emulator, streams are queues of closures. Made to
// find what CUDA would forgive only sometimes: nothing is done before the host waits for it, transfer streams run as
// late as events allow, and device memory is closed to the host between.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "engine/base/error.h"
#include "engine/streams/device.h"
#include "engine/streams/poison.h"
#include "kernels/simt/traffic.h"

namespace nascent {
namespace {

using Work = std::function<void()>;

/// Work in order, done when somebody waits for it.
class Queue final : public simt::Stream {
  public:
    void submit(Work work) override {
        launches_ += !recording_;
        put(std::move(work));
    }
    void put(Work work) { recording_ ? recorded_.push_back(std::move(work)) : work_.push_back(std::move(work)); }
    void begin_recording() { recording_ = true; }
    std::vector<Work> end_recording() {
        recording_ = false;
        return std::exchange(recorded_, {});
    }
    bool recording() const { return recording_; }
    std::int64_t launches() const { return launches_; }
    void count_launch() { launches_++; }
    std::uint64_t queued() const { return done_ + work_.size(); }
    /// Does everything up to the `end`th piece since the start.
    void run_to(std::uint64_t end) {
        while (done_ < end && !work_.empty()) {
            const Work work = std::move(work_.front());
            work_.pop_front();
            done_++;
            work();
        }
    }
    bool idle() const { return work_.empty(); }
    void drop() {
        done_ += work_.size();
        work_.clear();
    }

  private:
    std::deque<Work> work_;
    std::vector<Work> recorded_;
    bool recording_ = false;
    std::uint64_t done_ = 0;
    std::int64_t launches_ = 0;
};

struct EmulatedEvent final : Event {
    EmulatedEvent(std::shared_ptr<Queue> q, std::uint64_t e) : queue(std::move(q)), end(e) {}
    std::shared_ptr<Queue> queue;
    std::uint64_t end;
};

Work waiting(const Event& event) {
    const auto& e = static_cast<const EmulatedEvent&>(event);
    return [queue = e.queue, end = e.end] { queue->run_to(end); };
}

class EmulatedGraph final : public Graph {
  public:
    EmulatedGraph(Queue& queue, std::vector<Work> nodes)
        : queue_(queue), nodes_(std::make_shared<std::vector<Work>>(std::move(nodes))) {}
    void launch() override {
        queue_.count_launch();
        queue_.put([nodes = nodes_] {
            for (const Work& work : *nodes) work();
        });
    }
    bool update(const Graph& other) override {
        const auto& from = static_cast<const EmulatedGraph&>(other);
        if (from.nodes() != nodes()) return false;
        nodes_ = from.nodes_;  // launches under way keep what they have
        return true;
    }
    std::size_t nodes() const override { return nodes_->size(); }

  private:
    Queue& queue_;
    std::shared_ptr<const std::vector<Work>> nodes_;
};

class EmulatedDevice;

class EmulatedTransfers final : public TransferStream {
  public:
    explicit EmulatedTransfers(EmulatedDevice& device) : device_(device), queue_(std::make_shared<Queue>()) {}
    ~EmulatedTransfers() override;
    void copy_in(void* target, const void* host, std::size_t bytes) override {
        queue_->put([=] { std::memcpy(target, host, bytes); });
    }
    std::unique_ptr<Event> record() override { return std::make_unique<EmulatedEvent>(queue_, queue_->queued()); }
    void wait(const Event& event) override { queue_->put(waiting(event)); }
    void synchronize() override;

  private:
    EmulatedDevice& device_;
    std::shared_ptr<Queue> queue_;
};

class EmulatedDevice final : public Device {
  public:
    DeviceKind kind() const override { return DeviceKind::gpu; }
    std::string name() const override { return "gpu (emulated)"; }
    void* reserve(std::size_t bytes) override {
        void* p = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        NASCENT_CHECK(p != MAP_FAILED, device, "cannot reserve {} bytes of address space: {}", bytes,
                      std::strerror(errno));
        committed_[static_cast<std::byte*>(p)] = 0;
        simt::count_traffic(p, bytes);
        return p;
    }
    void commit(void* address, std::size_t bytes) override {
        not_capturing("memory is committed");
        auto at = committed_.upper_bound(static_cast<std::byte*>(address));
        NASCENT_CHECK(at != committed_.begin(), runtime, "commit outside a reservation");
        --at;
        NASCENT_CHECK(address == at->first + at->second, runtime, "memory is committed in ascending order");
        // That the system has it is seen now and not inside a kernel.
        open(at->first + at->second, bytes, PROT_READ | PROT_WRITE);
        open(at->first + at->second, bytes, PROT_NONE);
        at->second += bytes;
    }
    void release(void* reservation, std::size_t bytes) override {
        try {
            run(*main_);          // what is under way may use it
        } catch (const Error&) {  // nobody waits for it any more
        }
        committed_.erase(static_cast<std::byte*>(reservation));
        simt::forget_traffic(reservation);
        munmap(reservation, bytes);
    }
    void fill(void* target, int byte, std::size_t bytes) override {
        if (bytes > 0) main_->put([=] { std::memset(target, byte, bytes); });
    }
    void poison([[maybe_unused]] void* target, [[maybe_unused]] std::size_t bytes,
                [[maybe_unused]] bool closed) override {
#ifdef __SANITIZE_ADDRESS__  // else it would only be one more node in graphs
        main_->put([=] { poison_now(target, bytes, closed); });
#endif
    }
    void copy_in(void* target, const void* host, std::size_t bytes) override {
        not_capturing("the host's memory is copied");
        if (bytes == 0) return;
        const auto* begin = static_cast<const std::byte*>(host);
        main_->put([target, staged = std::vector<std::byte>(begin, begin + bytes)] {
            std::memcpy(target, staged.data(), staged.size());
        });
    }
    void copy_out(void* host, const void* source, std::size_t bytes) override {
        not_capturing("the host waits");
        run(*main_);
        if (bytes == 0) return;
        protect(PROT_READ, source, bytes);
        std::memcpy(host, source, bytes);
        protect(PROT_NONE, source, bytes);
    }
    void synchronize() override {
        not_capturing("the host waits");
        run(*main_);
    }
    void* stream() override { return static_cast<simt::stream_t>(main_.get()); }
    bool can_capture() const override { return true; }
    void begin_capture() override {
        not_capturing("another one begins");
        main_->begin_recording();
    }
    std::unique_ptr<Graph> end_capture() override {
        NASCENT_CHECK(capturing(), runtime, "no capture has begun");
        return std::make_unique<EmulatedGraph>(*main_, main_->end_recording());
    }
    bool capturing() const override { return main_->recording(); }
    void* allocate_host(std::size_t bytes) override { return ::operator new(bytes); }
    void free_host(void* host) override { ::operator delete(host); }
    std::unique_ptr<TransferStream> make_transfer_stream() override {
        return std::make_unique<EmulatedTransfers>(*this);
    }
    void wait(const Event& event) override { main_->put(waiting(event)); }
    std::unique_ptr<Event> record() override { return std::make_unique<EmulatedEvent>(main_, main_->queued()); }
    std::int64_t launches() const override { return main_->launches(); }

    /// Does a queue's work with all of the device's memory open.
    void run(Queue& queue) {
        if (queue.idle()) return;
        protect(PROT_READ | PROT_WRITE);
        try {
            queue.run_to(queue.queued());
        } catch (const simt::Error& e) {
            queue.drop();  // as after an error on a GPU: nothing that was queued behind it is done
            for (const auto& [base, bytes] : committed_) poison_now(base, bytes, false);  // nor what would open memory
            protect(PROT_NONE);
            fail(ErrorKind::runtime, "{}: {}", name(), e.what());
        }
        protect(PROT_NONE);
    }

  private:
    void not_capturing(const char* what) const { NASCENT_CHECK(!capturing(), runtime, "{} inside a capture", what); }
    static void open(void* address, std::size_t bytes, int protection) {
        if (bytes == 0) return;
        NASCENT_CHECK(mprotect(address, bytes, protection) == 0, device, "cannot get {} bytes of memory: {}", bytes,
                      std::strerror(errno));
    }
    void protect(int protection) {
        for (const auto& [base, bytes] : committed_) open(base, bytes, protection);
    }
    /// The pages of these bytes alone, as far as they are committed: the system takes time for each page that there is.
    void protect(int protection, const void* address, std::size_t size) {
        static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
        const auto at = reinterpret_cast<std::uintptr_t>(address);
        for (const auto& [base, bytes] : committed_) {
            const auto begin = reinterpret_cast<std::uintptr_t>(base), first = std::max(begin, at / page * page),
                       end = std::min(begin + bytes, (at + size + page - 1) / page * page);
            if (first < end) open(reinterpret_cast<void*>(first), end - first, protection);
        }
    }
    std::shared_ptr<Queue> main_ = std::make_shared<Queue>();
    std::map<std::byte*, std::size_t> committed_;  // by reservation: bytes from its start
};

EmulatedTransfers::~EmulatedTransfers() {
    try {
        synchronize();
    } catch (const std::exception&) {  // nobody waits for these
    }
}
void EmulatedTransfers::synchronize() { device_.run(*queue_); }

}  // namespace

std::unique_ptr<Device> make_gpu_device() {
    const char* wish = std::getenv("NASCENT_EMULATE");
    NASCENT_CHECK(
        wish && std::string_view(wish) == "1", device,
        "--device gpu: this build has no CUDA. To check the GPU's kernels without a GPU, set NASCENT_EMULATE=1: "
        "they then run on the CPU, hundreds of times slower than --device cpu");
    return std::make_unique<EmulatedDevice>();
}

}  // namespace nascent
