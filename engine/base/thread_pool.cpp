#include "engine/base/thread_pool.h"

#include <algorithm>
#include <system_error>

#include "engine/base/error.h"

namespace nascent {

ThreadPool::ThreadPool(int threads) {
    if (threads <= 0) threads = std::max(1u, std::thread::hardware_concurrency());
    try {
        for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& e) {
        const std::size_t started = workers_.size() + 1;
        stop();
        fail(ErrorKind::device, "cannot have {} threads, only {}: {}", threads, started, e.what());
    }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
    stop_ = true;
    job_++;
    job_.notify_all();
    for (std::thread& t : workers_) t.join();
}

void ThreadPool::run(int chunks, Body body, void* context) {
    std::lock_guard lock(entry_);
    body_ = body, context_ = context, chunks_ = chunks;
    next_ = 0;
    error_ = nullptr;
    if (chunks > 1 && !workers_.empty()) {
        busy_ = static_cast<int>(workers_.size());
        job_++;
        job_.notify_all();
        drain(0);
        for (int left = busy_; left > 0; left = busy_) busy_.wait(left);
    } else {
        drain(0);
    }
    if (error_) std::rethrow_exception(error_);
}

void ThreadPool::drain(int worker) {
    for (int chunk = next_++; chunk < chunks_; chunk = next_++) {
        try {
            body_(context_, chunk, worker);
        } catch (...) {
            std::lock_guard lock(error_lock_);
            if (!error_) error_ = std::current_exception();
        }
    }
}

void ThreadPool::work(int worker) {
    for (unsigned seen = 0;;) {
        job_.wait(seen);
        // The caller waits until every worker has answered a job, so none can be missed.
        seen++;
        if (stop_) return;
        drain(worker);
        if (--busy_ == 0) busy_.notify_one();
    }
}

}  // namespace nascent
