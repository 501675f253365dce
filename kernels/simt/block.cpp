// Launches: what they may ask for, blocks one after another, and their threads' turns.
#include <algorithm>
#include <map>
#include <mutex>

#include "kernels/simt/engine.h"
#include "kernels/simt/traffic.h"

namespace nascent::simt {
namespace {

std::string deadlock(const Engine& e) {
    int a = 0, b = 0;
    while (e.threads[a].state == Thread::done) a++;
    while (b < e.count && e.threads[b].state != Thread::done && same(e.threads[b].stop, e.threads[a].stop)) b++;
    return "deadlock: " + text(e, a) + (b < e.count ? ", " + text(e, b) : "");
}

/// The next thread in turn that is ready, or -1. One warp runs until it waits for the whole block, then the next: the
/// most uneven schedule there is, so that a warp which relies on another's work without a barrier does not find it.
int next_thread(Engine& e) {
    Turn& t = e.turn;
    for (;;) {
        const std::vector<int>& warp = e.turns[t.warp];
        while (t.lane < warp.size()) {
            const int thread = warp[t.lane++];
            if (e.threads[thread].state == Thread::ready) return thread;
        }
        t.lane = 0;
        if (std::exchange(t.warp_progress, e.progress) != e.progress) continue;
        if (++t.warp < e.turns.size()) continue;
        t.warp = 0;
        if (e.done == e.count || std::exchange(t.block_progress, e.progress) == e.progress) return -1;
    }
}

/// Leaves the stack `from` for that of the next thread, or the scheduler's where none is ready, until its next turn.
void go_on(Engine& e, Fiber& from) {
    const int thread = next_thread(e);
    Fiber* to = &e.scheduler;
    if (thread >= 0) {
        to = e.threads[thread].fiber;
        e.current = thread;
        threadIdx = e.threads[thread].index;
    }
    if (to != &from) Fiber::switch_to(from, *to);
}

void fiber_main() {
    Engine& e = engine();
    Fiber::on_entry(e.scheduler);
    for (;;) {
        acquire(&e.tags->start);
        (*e.kernel)();
        Thread& t = e.self();
        t.state = Thread::done;
        e.done++;
        e.progress++;
        release(&e.end_tag);
        go_on(e, *t.fiber);
    }
}

void make_turns(Engine& e) {
    auto mix = [&](auto& v) {
        if (e.how == Order::reverse) std::reverse(v.begin(), v.end());
        if (e.how == Order::shuffled) std::shuffle(v.begin(), v.end(), e.random);
    };
    e.turns.assign((e.count + 31) / 32, {});
    for (int i = 0; i < e.count; i++) e.turns[i / 32].push_back(i);
    for (auto& warp : e.turns) mix(warp);
    mix(e.turns);
}

void start_block(Engine& e, bool first) {
    start_memory(e);
    e.done = e.arrived = 0;
    e.turn = {};
    {
        const Untracked untracked;
        e.threads.assign(e.count, {});
    }
    std::deque<Fiber>& stacks = e.stacks[kRaces ? e.block % 2 : 0];
    while (static_cast<int>(stacks.size()) < e.count) stacks.emplace_back(fiber_main);
    auto stack = stacks.begin();
    for (int i = 0; i < e.count; i++) {
        e.threads[i].fiber = &*stack++;
        e.threads[i].index = unfold(static_cast<std::size_t>(i), blockDim);
    }
    e.warps.resize((e.count + 31) / 32);
    for (Warp& w : e.warps) {
        for (Warp::Group& g : w.groups) g = {};
        for (Warp::Found& f : w.found) f.holders = 0;
    }
    if (first || e.how == Order::shuffled) make_turns(e);
    e.tags = std::make_unique_for_overwrite<Tags>();  // addresses alone count
    release(&e.tags->start);
}

void run_block(Engine& e, bool first) {
    start_block(e, first);
    go_on(e, e.scheduler);  // comes back when no thread is ready, or one failed
    if (e.error.empty()) e.error = e.done < e.count ? deadlock(e) : check_memory(e);
}

std::mutex allowed_mutex;
std::map<const void*, std::size_t> allowed;  // dynamic shared bytes, by kernel

}  // namespace

Engine& make_engine() {
    static thread_local Engine e;
    return *(current_engine = &e);
}

void yield(Engine& e) { go_on(e, *e.self().fiber); }

void fail(Engine& e, std::string message) {
    e.error = std::move(message);
    release(&e.end_tag);
    Fiber::switch_to(*e.self().fiber, e.scheduler);
    std::abort();
}

void set_order(Order order, unsigned seed) {
    engine().how = order;
    engine().random.seed(seed);
}

void allow_shared(const void* kernel, std::size_t bytes) {
    if (bytes > kSharedOptIn) throw Error("allow_shared: " + std::to_string(bytes) + " bytes, a block has 232448");
    std::scoped_lock lock(allowed_mutex);
    allowed[kernel] = bytes;
}

std::size_t check_launch(const void* kernel, const Launch& at) {
    const dim3 &g = at.grid, &b = at.block;
    auto refuse = [&](const std::string& why) { throw Error("launch at " + text(at.where) + ": " + why); };
    if (b.x < 1 || b.y < 1 || b.z < 1 || b.x > 1024 || b.y > 1024 || b.z > 64 || std::size_t{b.x} * b.y * b.z > 1024)
        refuse("a block of " + text(uint3{b.x, b.y, b.z}) + " threads, expected 1 to 1024, at most (1024,1024,64)");
    if (g.x < 1 || g.y < 1 || g.z < 1 || g.x > 2147483647u || g.y > 65535 || g.z > 65535)
        refuse("a grid of " + text(uint3{g.x, g.y, g.z}) + " blocks, expected (1,1,1) to (2147483647,65535,65535)");
    std::scoped_lock lock(allowed_mutex);
    const std::size_t limit = std::max(kShared, allowed[kernel]);  // 0 where nobody asked
    if (at.shared_bytes > limit)
        refuse(std::to_string(at.shared_bytes) + " bytes of shared memory, the kernel is allowed " +
               std::to_string(limit));
    return allowed[kernel] > 0 ? kSharedOptIn : kShared;
}

void run(const Launch& at, std::size_t shared_limit, const std::function<void()>& kernel) {
    Engine& e = engine();
    e.kernel = &kernel;
    e.count = static_cast<int>(at.block.x * at.block.y * at.block.z);
    e.dynamic_bytes = at.shared_bytes;
    e.limit = shared_limit;
    blockDim = at.block;
    gridDim = at.grid;
    {
        const Untracked untracked;
        e.atomics.clear();
        e.fences.clear();
    }
    const CountedLaunch counted(at.where);
    const std::size_t blocks = std::size_t{at.grid.x} * at.grid.y * at.grid.z;
    for (std::size_t i = 0; i < blocks && e.error.empty(); i++, e.block++) {
        counted.begin_block();
        blockIdx = unfold(e.how == Order::reverse ? blocks - 1 - i : i, gridDim);
        run_block(e, i == 0);
    }
    acquire(&e.end_tag);
    if (e.error.empty()) return;
    // Threads that wait for ever ended where they wait.
    acquire(&e.tags->arrive);
    for (auto& warp : e.tags->warp_arrive)
        for (char& tag : warp) acquire(&tag);
    for (std::deque<Fiber>& set : e.stacks) set.clear();
    throw Error(std::exchange(e.error, {}) + " in block " + text(blockIdx) + " of the launch at " + text(at.where));
}

}  // namespace nascent::simt
