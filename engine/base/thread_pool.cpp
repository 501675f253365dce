#include "engine/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "engine/base/error.h"

namespace nascent {

struct ThreadPool::Workers {
    explicit Workers(int threads);
    ~Workers() { stop(); }
    void stop();
    void run(int chunks);
    void work(int worker);
    void drain(int worker);
    void call(int chunk, int worker);

    std::vector<std::thread> others;
    std::mutex entry;  // one job at a time
    // Of the present job. Read only by who holds one of its chunks: until that is done no other job begins.
    Body body = nullptr;
    void* context = nullptr;
    int chunks = 0;
    // The job's number and how many of its chunks nobody has taken. In one word, because a worker that wakes late must
    // not take a chunk of a later job by what it knows of an earlier one.
    std::atomic<std::uint64_t> open{0};
    std::atomic<unsigned> job{0};  // what workers sleep on
    std::atomic<int> left{0};      // chunks that are not done
    std::atomic<bool> stopped{false};
    std::mutex error_lock;
    std::exception_ptr error;
};

ThreadPool::Workers::Workers(int threads) {
    try {
        for (int i = 1; i < threads; i++) others.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& e) {
        const std::size_t started = others.size() + 1;
        stop();
        fail(ErrorKind::device, "cannot have {} threads, only {}: {}", threads, started, e.what());
    }
}

void ThreadPool::Workers::stop() {
    stopped = true;
    job++;
    job.notify_all();
    for (std::thread& t : others) t.join();
}

void ThreadPool::Workers::run(int count) {
    error = nullptr;
    chunks = count;
    if (count > 1 && !others.empty()) {
        left = count;
        const unsigned number = job + 1;
        open = std::uint64_t{number} << 32 | static_cast<unsigned>(count);
        job = number;
        job.notify_all();
        drain(0);
        for (int now = left; now > 0; now = left) left.wait(now);
    } else {
        for (int chunk = 0; chunk < count; chunk++) call(chunk, 0);
    }
    if (error) std::rethrow_exception(error);
}

void ThreadPool::Workers::drain(int worker) {
    std::uint64_t seen = open;
    while (const int rest = static_cast<int>(static_cast<std::uint32_t>(seen))) {
        if (!open.compare_exchange_weak(seen, seen - 1)) continue;
        call(chunks - rest, worker);
        if (--left == 0 && worker != 0) left.notify_one();
        seen = open;
    }
}

void ThreadPool::Workers::call(int chunk, int worker) {
    try {
        body(context, chunk, worker);
    } catch (...) {
        std::lock_guard lock(error_lock);
        if (!error) error = std::current_exception();
    }
}

void ThreadPool::Workers::work(int worker) {
    for (unsigned seen = 0; !stopped; seen = job) {
        drain(worker);
        job.wait(seen);
    }
}

ThreadPool::ThreadPool(int threads)
    : threads_(threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))) {
    workers_ = std::make_unique<Workers>(threads_);
}

ThreadPool::~ThreadPool() = default;

void ThreadPool::run(int chunks, Body body, void* context) {
    std::lock_guard lock(workers_->entry);
    workers_->body = body, workers_->context = context;
    workers_->run(chunks);
}

}  // namespace nascent
