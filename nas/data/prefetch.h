// Items made ahead by threads: item `step` is a pure function of the step, and so are its parts, whoever makes them.
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace nascent {

/// One consumer thread. All items ahead are made in parts, in order, by whichever worker is free.
template <class Item>
class Prefetch {
  public:
    /// Makes room in the item and returns the number of its parts, at least 1; must not throw for want of anything but
    /// memory.
    using Begin = std::function<int(std::uint64_t step, Item& item)>;
    /// Part `part` of it; called from several threads at once, with `worker` < max(1, workers) telling them apart.
    using Make = std::function<void(std::uint64_t step, int part, int worker, Item& item)>;

    /// `workers` 0: the consumer makes items itself. `ahead` >= 1 items are held.
    Prefetch(int workers, int ahead, Begin begin, Make make) : begin_(std::move(begin)), make_(std::move(make)) {
        if (workers == 0) return;
        slots_.resize(static_cast<std::size_t>(ahead));
        for (int w = 0; w < workers; w++) threads_.emplace_back([this, w] { work(w); });
    }
    ~Prefetch() {
        {
            std::lock_guard guard(lock_);
            stop_ = true;
        }
        work_.notify_all();
        for (std::thread& t : threads_) t.join();
    }
    Prefetch(const Prefetch&) = delete;
    Prefetch& operator=(const Prefetch&) = delete;

    /// Exchanges `out` with item `step`; any step may be asked for at no cost but its own making. Throws what the
    /// making of its first bad part threw; asked again, it is tried again.
    void fetch(std::uint64_t step, Item& out) {
        const auto start = std::chrono::steady_clock::now();
        struct Clock {
            double& total;
            std::chrono::steady_clock::time_point begin;
            ~Clock() { total += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }
        } clock{waited_, start};
        if (threads_.empty()) {
            const int parts = begin_(step, out);
            for (int p = 0; p < parts; p++) make_(step, p, 0, out);
            return;
        }
        std::unique_lock guard(lock_);
        if (halted_ || step != next_fetch_) seek(guard, step);
        Slot& slot = slots_[step % slots_.size()];
        done_.wait(guard, [&] { return slot.ready(); });
        if (slot.error) {
            halted_ = true;
            std::rethrow_exception(slot.error);
        }
        std::swap(slot.item, out);
        slot.open = false;
        next_fetch_++;
        work_.notify_all();
    }
    /// Seconds spent in fetch().
    double waited() const { return waited_; }

  private:
    // An item being made or waiting to be fetched; step s lives in slot s % slots.size().
    struct Slot {
        Item item;
        bool open = false;
        int parts = 0, taken = 0, finished = 0;
        int bad_part = 0;
        std::exception_ptr error;  // of the first bad part
        bool ready() const { return open && finished == parts; }
    };

    bool has_work() const {
        if (stop_ || halted_) return stop_;
        const Slot& slot = slots_[next_make_ % slots_.size()];
        return next_make_ < next_fetch_ + slots_.size() && (!slot.open || slot.taken < slot.parts);
    }

    void work(int worker) {
        std::unique_lock guard(lock_);
        for (;;) {
            work_.wait(guard, [&] { return has_work(); });
            if (stop_) return;
            const std::uint64_t step = next_make_;
            Slot& slot = slots_[step % slots_.size()];
            std::exception_ptr error;
            if (!slot.open) {
                slot = Slot{std::move(slot.item), true, 1, 0, 0, 0, nullptr};
                try {
                    slot.parts = begin_(step, slot.item);
                } catch (...) {
                    error = std::current_exception();
                }
                if (slot.parts > 1) work_.notify_all();
            }
            const int part = slot.taken++;
            if (slot.taken == slot.parts) next_make_++;
            busy_++;
            if (!error) {
                guard.unlock();
                try {
                    make_(step, part, worker, slot.item);
                } catch (...) {
                    error = std::current_exception();
                }
                guard.lock();
            }
            busy_--;
            if (error && (!slot.error || part < slot.bad_part)) slot.error = error, slot.bad_part = part;
            if (++slot.finished == slot.parts || busy_ == 0) done_.notify_all();
        }
    }

    // Under the lock: forget what was made and go on from `step`.
    void seek(std::unique_lock<std::mutex>& guard, std::uint64_t step) {
        halted_ = true;
        done_.wait(guard, [&] { return busy_ == 0; });
        for (Slot& slot : slots_) slot.open = false, slot.error = nullptr;
        next_fetch_ = next_make_ = step;
        halted_ = false;
        work_.notify_all();
    }

    const Begin begin_;
    const Make make_;
    std::mutex lock_;
    std::condition_variable work_, done_;  // for the workers; for the consumer
    std::vector<Slot> slots_;
    std::uint64_t next_fetch_ = 0;  // the next step the consumer is expected to ask for
    std::uint64_t next_make_ = 0;   // the step of which the next part is taken
    int busy_ = 0;                  // workers inside make
    bool halted_ = true;            // nothing new is begun: before the first fetch, after an error, while seeking
    bool stop_ = false;
    double waited_ = 0;  // the consumer's alone
    std::vector<std::thread> threads_;
};

}  // namespace nascent
