// A block: its threads' turns, barriers, warp collectives and shared memory.
#include <sys/mman.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "kernels/simt/emulator.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/sanitizers.h"

namespace nascent::simt {
namespace {

constexpr std::size_t kShared = 48 * 1024, kSharedOptIn = 227 * 1024;  // of one block, compute capability 9.0
constexpr std::size_t kRedZone = 256, kArena = 512 * 1024;
constexpr char kRed = '\x5a', kNan = '\xff';
constexpr int kVariables = 64;

struct Copy {
    void* to;
    const void* from;
    unsigned size, valid;
    int group;
};
/// A stack and what belongs to the thread that runs on it.
struct Stack {
    Fiber fiber;
    std::vector<Copy> copies;
    explicit Stack(void (*entry)()) : fiber(entry) {}
};

/// What a collective found in the slots; in use until each of its lanes comes to another one.
struct Snapshot {
    Slot slots[32];
    int users = 0, index = 0;
};

struct Thread {
    enum State { ready, at_barrier, in_warp, done } state = ready;
    Stack* stack = nullptr;
    Snapshot* snapshot = nullptr;
    const char* what = "";  // it waits for, at
    Place at;
    unsigned mask = 0;
    int group = 0;  // of cp.async: committed so far
};

struct Warp {
    struct Group {  // named by the lowest lane of its mask
        unsigned arrived = 0;
        int first = 0;
    } groups[32];
    Slot in[32];
    std::deque<Snapshot> snapshots;

    Snapshot& unused() {
        for (Snapshot& s : snapshots)
            if (s.users == 0) return s;
        Snapshot& s = snapshots.emplace_back();
        s.index = static_cast<int>(snapshots.size()) - 1;
        return s;
    }
};

/// Addresses that happens-before hangs on. Two for each barrier: with one, what a thread does after it would seem to
/// happen before what a slower thread does after it. New ones for each block, or blocks would seem to be in order.
struct Tags {
    char start, arrive, depart, warp_arrive[32][32], warp_depart[32][64];
};

struct Variable {
    const void* key;
    const char* name;
    char* data;
    std::size_t size;
};

struct Engine {
    // The launch.
    const std::function<void()>* kernel = nullptr;
    std::size_t dynamic_bytes = 0, limit = 0;
    int count = 0;  // threads in a block
    std::mt19937 random;
    Order how = Order::forward;
    // The block.
    std::vector<Thread> threads;
    std::deque<Warp> warps;
    std::vector<std::vector<int>> turns;  // warps, and the threads in them, in the order in which they run
    int warp_turn = 0, lane_turn = 0, current = 0, done = 0, arrived = 0, first = 0, votes = 0, elected = 0;
    long progress = 0;
    std::string error;
    // Shared memory.
    char* arena;
    Variable variables[kVariables];
    int used_variables = 0;
    std::size_t used = 0, bytes = 0;  // with red zones and without
    // Stacks. A fiber stands for a thread in the eyes of ThreadSanitizer, so there each thread has its own, and blocks
    // take turns with two sets of them, or neighbouring blocks would seem to be in order.
    Fiber scheduler;
    std::deque<Stack> stacks[2];
    std::vector<Stack*> idle;
    unsigned block = 0;
    std::unique_ptr<Tags> tags;
    char end_tag = 0, fence_tag = 0;

    Engine() { arena = map(nullptr, kArena, 0); }
    ~Engine() { munmap(arena, kArena); }
    static char* map(char* at, std::size_t size, int flags) {
        void* p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        return static_cast<char*>(p);
    }
    Thread& self() { return threads[current]; }
    Warp& warp() { return warps[current / 32]; }
};

Engine& engine() {
    static thread_local Engine e;
    return e;
}

void enter(Engine& e, int thread) {
    e.current = thread;
    const unsigned i = static_cast<unsigned>(thread);
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
}

void yield(Engine& e) {
    const int thread = e.current;
    Fiber::switch_to(e.threads[thread].stack->fiber, e.scheduler);
    enter(e, thread);
}

/// Ends the launch; the block's stacks are abandoned.
[[noreturn]] void fail(Engine& e, std::string message) {
    e.error = std::move(message);
    release(&e.end_tag);
    Fiber::switch_to(e.self().stack->fiber, e.scheduler);
    std::abort();
}

std::string triple(unsigned x, unsigned y, unsigned z) {
    return "(" + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(z) + ")";
}
std::string text(const Place& at) {
    const std::string path = at.file_name();
    return path.substr(path.rfind('/') + 1) + ":" + std::to_string(at.line());
}
/// Which thread is where.
std::string text(const Engine& e, int thread) {
    const Thread& t = e.threads[thread];
    const unsigned i = static_cast<unsigned>(thread);
    std::string who = "thread " + triple(i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y));
    if (t.state == Thread::done) return who + " has returned";
    char mask[32] = "";
    if (t.mask) std::snprintf(mask, sizeof(mask), " mask 0x%08x", t.mask);
    return who + " is at " + text(t.at) + " (" + t.what + mask + ")";
}
bool same_place(const Thread& a, const Thread& b) {
    return a.mask == b.mask && a.at.line() == b.at.line() && a.at.column() == b.at.column() &&
           std::strcmp(a.what, b.what) == 0 && std::strcmp(a.at.file_name(), b.at.file_name()) == 0;
}
std::string deadlock(const Engine& e) {
    int a = 0, b = 0;
    while (e.threads[a].state == Thread::done) a++;
    auto alike = [&](const Thread& t) { return t.state != Thread::done && same_place(t, e.threads[a]); };
    while (b < e.count && alike(e.threads[b])) b++;
    return "deadlock: " + text(e, a) + (b < e.count ? ", " + text(e, b) : "");
}

void set_place(Thread& t, const char* what, unsigned mask, const Place& at) {
    t.what = what;
    t.mask = mask;
    t.at = at;
}

void fiber_main() {
    Engine& e = engine();
    Fiber::on_entry(e.scheduler);
    for (;;) {
        acquire(&e.tags->start);
        (*e.kernel)();
        Thread& t = e.self();
        Stack& mine = *t.stack;
        mine.copies.clear();  // what was not waited for never arrives
        t.state = Thread::done;
        e.done++;
        e.progress++;
        release(&e.end_tag);
        if (!kRaces) {
            t.stack = nullptr;
            // A thread that never waited leaves its stack to the next one, without a switch.
            const std::vector<int>& turn = e.turns[e.warp_turn];
            if (e.lane_turn + 1 < static_cast<int>(turn.size())) {
                Thread& next = e.threads[turn[e.lane_turn + 1]];
                if (!next.stack && next.state == Thread::ready) {
                    next.stack = &mine;
                    enter(e, turn[++e.lane_turn]);
                    continue;
                }
            }
            e.idle.push_back(&mine);
        }
        Fiber::switch_to(mine.fiber, e.scheduler);
    }
}

void resume(Engine& e) {
    const int thread = e.turns[e.warp_turn][e.lane_turn];
    Thread& t = e.threads[thread];
    if (kRaces) {
        std::deque<Stack>& own = e.stacks[e.block % 2];
        while (static_cast<int>(own.size()) <= thread) own.emplace_back(fiber_main);
        t.stack = &own[thread];
    } else if (!t.stack) {
        if (e.idle.empty()) e.idle.push_back(&e.stacks[0].emplace_back(fiber_main));
        t.stack = e.idle.back();
        e.idle.pop_back();
    }
    enter(e, thread);
    Fiber::switch_to(e.scheduler, t.stack->fiber);
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

void fill(char* from, std::size_t size, char with) {
    for (volatile char* p = from; p != from + size; p++) *p = with;  // not memset, which ThreadSanitizer would see
}

void start_block(Engine& e) {
    ASAN_UNPOISON_MEMORY_REGION(e.arena, kArena);
#if defined(NASCENT_SIMT_TSAN)
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);  // so that the mapping makes what other blocks did here be forgotten
    if (e.used) e.map(e.arena, (e.used + kRedZone + 4095) / 4096 * 4096, MAP_FIXED);
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
    ASAN_POISON_MEMORY_REGION(e.arena, kArena);
    e.used = e.bytes = 0;
    e.used_variables = e.done = e.arrived = e.votes = 0;
    e.threads.assign(e.count, {});
    e.warps.resize((e.count + 31) / 32);
    for (Warp& w : e.warps) {
        for (Warp::Group& g : w.groups) g = {};
        for (Snapshot& s : w.snapshots) s.users = 0;
    }
    make_turns(e);
    e.tags = std::make_unique<Tags>();
    release(&e.tags->start);
}

void run_block(Engine& e) {
    start_block(e);
    // One warp runs until it waits for the whole block, then the next: the most uneven schedule there is, so that a
    // warp which relies on another's work without a barrier does not find it.
    while (e.done < e.count) {
        const long before = e.progress;
        for (e.warp_turn = 0; e.warp_turn < static_cast<int>(e.turns.size()); e.warp_turn++)
            for (long start = -1; start != e.progress;) {
                start = e.progress;
                for (e.lane_turn = 0; e.lane_turn < static_cast<int>(e.turns[e.warp_turn].size()); e.lane_turn++)
                    if (e.threads[e.turns[e.warp_turn][e.lane_turn]].state == Thread::ready) {
                        resume(e);
                        if (!e.error.empty()) return;
                    }
            }
        if (e.progress == before) {
            e.error = deadlock(e);
            return;
        }
    }
#if !defined(__SANITIZE_ADDRESS__)  // which has said more already
    for (int i = 0; i < e.used_variables; i++) {
        const Variable& v = e.variables[i];
        auto red = [](char c) { return c == kRed; };
        const char* end = v.data + v.size;
        if (!std::all_of(v.data - kRedZone, v.data, red) || !std::all_of(end, end + kRedZone, red))
            e.error = std::string("shared memory beside ") + v.name + " was written";
    }
#endif
}

std::mutex allowed_mutex;
std::map<const void*, std::size_t> allowed;  // dynamic shared bytes, by kernel

}  // namespace

void set_order(Order order, unsigned seed) {
    engine().how = order;
    engine().random.seed(seed);
}

void allow_shared(const void* kernel, std::size_t bytes) {
    if (bytes > kSharedOptIn) throw Error("allow_shared: " + std::to_string(bytes) + " bytes, a block has 232448");
    std::scoped_lock lock(allowed_mutex);
    allowed[kernel] = bytes;
}
bool opted_in(const void* kernel) {
    std::scoped_lock lock(allowed_mutex);
    return allowed.contains(kernel);
}

void check_launch(const void* kernel, const Launch& at) {
    const dim3 &g = at.grid, &b = at.block;
    auto refuse = [&](const std::string& why) { throw Error("launch at " + text(at.where) + ": " + why); };
    if (b.x < 1 || b.y < 1 || b.z < 1 || b.x > 1024 || b.y > 1024 || b.z > 64 || std::size_t{b.x} * b.y * b.z > 1024)
        refuse("a block of " + triple(b.x, b.y, b.z) + " threads, expected 1 to 1024, at most (1024,1024,64)");
    if (g.x < 1 || g.y < 1 || g.z < 1 || g.x > 2147483647u || g.y > 65535 || g.z > 65535)
        refuse("a grid of " + triple(g.x, g.y, g.z) + " blocks, expected (1,1,1) to (2147483647,65535,65535)");
    std::scoped_lock lock(allowed_mutex);
    const auto found = allowed.find(kernel);
    const std::size_t limit = found == allowed.end() ? kShared : std::max(kShared, found->second);
    if (at.shared_bytes > limit)
        refuse(std::to_string(at.shared_bytes) + " bytes of shared memory, the kernel is allowed " +
               std::to_string(limit));
}

void run(const Launch& at, bool opted_in, const std::function<void()>& kernel) {
    Engine& e = engine();
    e.kernel = &kernel;
    e.count = static_cast<int>(at.block.x * at.block.y * at.block.z);
    e.dynamic_bytes = at.shared_bytes;
    e.limit = opted_in ? kSharedOptIn : kShared;
    blockDim = at.block;
    gridDim = at.grid;
    const std::size_t blocks = std::size_t{at.grid.x} * at.grid.y * at.grid.z;
    for (std::size_t i = 0; i < blocks && e.error.empty(); i++, e.block++) {
        const std::size_t b = e.how == Order::reverse ? blocks - 1 - i : i;
        blockIdx = {static_cast<unsigned>(b % at.grid.x), static_cast<unsigned>(b / at.grid.x % at.grid.y),
                    static_cast<unsigned>(b / at.grid.x / at.grid.y)};
        run_block(e);
    }
    acquire(&e.end_tag);
    ASAN_UNPOISON_MEMORY_REGION(e.arena, kArena);
    if (e.error.empty()) return;
    // Threads that wait for ever ended where they wait.
    acquire(&e.tags->arrive);
    for (auto& warp : e.tags->warp_arrive)
        for (char& tag : warp) acquire(&tag);
    e.idle.clear();
    for (std::deque<Stack>& set : e.stacks) set.clear();
    throw Error(std::exchange(e.error, {}) + " in block " + triple(blockIdx.x, blockIdx.y, blockIdx.z) +
                " of the launch at " + text(at.where));
}

int sync_block(bool predicate, const Place& at) {
    Engine& e = engine();
    Thread& t = e.self();
    set_place(t, "__syncthreads", 0, at);
    e.progress++;
    if (e.arrived == 0) e.first = e.current;
    if (e.done || !same_place(t, e.threads[e.first])) {
        int other = e.first;
        for (int i = 0; i < e.count && e.done; i++)
            if (e.threads[i].state == Thread::done) other = i;
        fail(e, "divergent barrier: " + text(e, e.current) + ", " + text(e, other));
    }
    release(&e.tags->arrive);
    e.votes += predicate;
    t.state = Thread::at_barrier;
    if (++e.arrived == e.count) {
        for (Thread& o : e.threads) o.state = Thread::ready;
        e.elected = std::exchange(e.votes, 0);
        e.arrived = 0;
        acquire(&e.tags->arrive);
        release(&e.tags->depart);
    }
    yield(e);  // the last one too: who goes on first is for the order to say
    acquire(&e.tags->depart);
    return e.elected;
}

unsigned lane() { return static_cast<unsigned>(engine().current % 32); }

const Slot* exchange(unsigned mask, const void* value, std::size_t size, const char* what, const Place& at) {
    Engine& e = engine();
    Thread& t = e.self();
    Warp& w = e.warp();
    const int warp = e.current / 32, base = 32 * warp, l = e.current % 32;
    if (e.count - base < 32)
        mask &= (1u << (e.count - base)) - 1;  // a full mask may name lanes that a short warp lacks
    set_place(t, what, mask, at);
    if (!(mask >> l & 1)) fail(e, "lane not in its own mask: " + text(e, e.current));
    const int leader = std::countr_zero(mask);
    Warp::Group& g = w.groups[leader];
    if (g.arrived == 0) g.first = e.current;
    if (!same_place(t, e.threads[g.first]))
        fail(e, "divergent collectives: " + text(e, e.current) + ", " + text(e, g.first));
    for (std::size_t i = 0; i < size; i++) w.in[l].bytes[i] = static_cast<const char*>(value)[i];
    if (t.snapshot) std::exchange(t.snapshot, nullptr)->users--;
    t.state = Thread::in_warp;
    e.progress++;
    release(&e.tags->warp_arrive[warp][leader]);
    g.arrived |= 1u << l;
    if (g.arrived == mask) {
        acquire(&e.tags->warp_arrive[warp][leader]);
        Snapshot& s = w.unused();
        for (int i = 0; i < 32; i++)
            if (mask >> i & 1) {
                s.slots[i] = w.in[i];
                e.threads[base + i].snapshot = &s;
                e.threads[base + i].state = Thread::ready;
            }
        s.users = std::popcount(mask);
        g.arrived = 0;
        release(&e.tags->warp_depart[warp][s.index]);
    }
    yield(e);
    acquire(&e.tags->warp_depart[warp][t.snapshot->index]);
    return t.snapshot->slots;
}

void require_lane(unsigned mask, unsigned source, const char* what, const Place& at) {
    Engine& e = engine();
    set_place(e.self(), what, mask, at);
    if (!(mask >> source & 1) || e.current / 32 * 32 + static_cast<int>(source) >= e.count)
        fail(e, "lane " + std::to_string(source) + " is read but not in the mask: " + text(e, e.current));
}

void* shared(const void* key, const char* name, std::size_t size, std::size_t alignment) {
    Engine& e = engine();
    for (int i = 0; i < e.used_variables; i++)
        if (e.variables[i].key == key) return e.variables[i].data;
    alignment = std::max<std::size_t>(alignment, 16);
    e.bytes = (e.bytes + alignment - 1) / alignment * alignment + size;
    const std::size_t at = (e.used + kRedZone + alignment - 1) / alignment * alignment;
    if (e.bytes > e.limit || at + size + kRedZone > kArena || e.used_variables == kVariables)
        fail(e, std::string("too much shared memory: ") + std::to_string(e.bytes) + " bytes with " + name +
                    ", allowed are " + std::to_string(e.limit));
    ASAN_UNPOISON_MEMORY_REGION(e.arena + e.used, at + size + kRedZone - e.used);
    fill(e.arena + e.used, at - e.used, kRed);
    fill(e.arena + at, size, kNan);
    fill(e.arena + at + size, kRedZone, kRed);
    ASAN_POISON_MEMORY_REGION(e.arena + e.used, at - e.used);
    ASAN_POISON_MEMORY_REGION(e.arena + at + size, kRedZone);
    e.used = at + size;
    e.variables[e.used_variables++] = {key, name, e.arena + at, size};
    return e.arena + at;
}

void* dynamic_shared(std::size_t alignment) {
    static const char key = 0;
    return shared(&key, "the dynamic shared memory", engine().dynamic_bytes, alignment);
}

void require_aligned(const void* p, std::size_t alignment, bool in_shared, const char* what, const Place& at) {
    Engine& e = engine();
    const char* c = static_cast<const char*>(p);
    bool inside = !in_shared;
    for (int i = 0; i < e.used_variables && !inside; i++) {
        const Variable& v = e.variables[i];
        inside = c >= v.data && c + alignment <= v.data + v.size;
    }
    if (inside && reinterpret_cast<std::uintptr_t>(p) % alignment == 0) return;
    set_place(e.self(), what, 0, at);
    fail(e, (inside ? "address is no multiple of " + std::to_string(alignment) : "address is not in shared memory") +
                ": " + text(e, e.current));
}

void cp_async(void* to, const void* from, unsigned size, unsigned valid, const Place& at) {
    Engine& e = engine();
    require_aligned(to, size, true, "cp_async to", at);
    require_aligned(from, size, false, "cp_async from", at);
    note_write(to, size);
    fill(static_cast<char*>(to), size, kNan);
    e.self().stack->copies.push_back({to, from, size, std::min(valid, size), e.self().group});
}
void cp_async_commit() { engine().self().group++; }
void cp_async_wait_all_but(int pending) {
    const Thread& t = engine().self();
    std::erase_if(t.stack->copies, [&](const Copy& c) {
        if (c.group >= t.group - pending) return false;
        note_write(c.to, c.size);
        std::memcpy(c.to, c.from, c.valid);
        std::memset(static_cast<char*>(c.to) + c.valid, 0, c.size - c.valid);
        return true;
    });
}

void fence() {
    release(&engine().fence_tag);
    acquire(&engine().fence_tag);
}

}  // namespace nascent::simt
