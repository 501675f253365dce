// Threads that run the chunks of one job at a time. Which thread runs a chunk never matters to the result: work is cut
// by shape alone, and whoever reduces adds the chunks in order.
#pragma once
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace nascent {

class ThreadPool {
  public:
    /// `threads` >= 1 counts the caller, who works too; 0 means the hardware's count. Throws Error(device) where
    /// the system gives fewer.
    explicit ThreadPool(int threads = 0);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    int threads() const { return static_cast<int>(workers_.size()) + 1; }
    /// Runs body(context, chunk, worker) for chunk in [0, chunks), 0 <= worker < threads(), and returns when all are
    /// done. The first exception thrown is thrown again here, after all chunks have ended. Not reentrant.
    using Body = void (*)(void* context, int chunk, int worker);
    void run(int chunks, Body body, void* context);
    template <class F>
    void parallel(int chunks, F&& f) {
        run(
            chunks, [](void* c, int chunk, int worker) { (*static_cast<F*>(c))(chunk, worker); }, &f);
    }

  private:
    void work(int worker);
    void stop();
    void drain(int worker);
    std::vector<std::thread> workers_;
    std::mutex entry_;  // one job at a time
    Body body_ = nullptr;
    void* context_ = nullptr;
    int chunks_ = 0;
    std::atomic<int> next_{0}, busy_{0};
    std::atomic<unsigned> job_{0};
    std::atomic<bool> stop_{false};
    std::mutex error_lock_;
    std::exception_ptr error_;
};

}  // namespace nascent
