// Threads that run the chunks of one job at a time. Which thread runs a chunk never matters to the result: work is cut
// by shape alone, and whoever reduces adds the chunks in order.
#pragma once
#include <memory>

namespace nascent {

class ThreadPool {
  public:
    /// `threads` >= 1 counts the caller, who works too; 0 means the hardware's count. Throws Error(device) where
    /// the system gives fewer.
    explicit ThreadPool(int threads = 0);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    int threads() const { return threads_; }
    /// Runs body(context, chunk, worker) for chunk in [0, chunks), 0 <= worker < threads(), and returns when all are
    /// done; a worker that the system lets sleep is not waited for. The first exception thrown is thrown again here,
    /// after all chunks have ended. Not reentrant.
    using Body = void (*)(void* context, int chunk, int worker);
    void run(int chunks, Body body, void* context);
    template <class F>
    void parallel(int chunks, F&& f) {
        run(
            chunks, [](void* c, int chunk, int worker) { (*static_cast<F*>(c))(chunk, worker); }, &f);
    }

  private:
    struct Workers;
    std::unique_ptr<Workers> workers_;
    int threads_ = 1;
};

}  // namespace nascent
