// What is shared by the emulator's files: a block under way, its threads, warps and shared memory, and how it fails.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "kernels/simt/emulator.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/sanitizers.h"

namespace nascent::simt {

constexpr std::size_t kShared = 48 * 1024, kSharedOptIn = 227 * 1024;  // of one block, compute capability 9.0

struct Copy {
    void* to;
    const void* from;
    unsigned size, valid;
    int group;
};
/// Where a thread waits, and for what.
struct Stop {
    const char* what = "";
    unsigned mask = 0;
    Place at = {};
};
/// To ThreadSanitizer: what a thread had done, and knew, at a fence. Its address is released there.
using Fenced = char;

struct Thread {
    enum State { ready, at_barrier, in_warp, done } state = ready;
    Fiber* fiber = nullptr;
    uint3 index = {};
    Stop stop;
    const Slot* found = nullptr;  // at its last collective
    std::vector<Copy> copies;
    int group = 0;              // of copies: committed so far
    Fenced* fenced = nullptr;   // at its last fence
    std::vector<Fenced*> seen;  // at atomics since then: its own from its next fence on
};

struct Warp {
    struct Group {  // named by the lowest lane of its mask
        unsigned arrived = 0;
        int first = 0;
    } groups[32];
    Slot brought[32];  // by lane
    /// What a collective's lanes found. It is used again when each of them is in its next one, so that 32 are enough.
    struct Found {
        unsigned holders = 0;
        Slot slots[32];
    } found[32];
};

/// Addresses that happens-before hangs on. Two for each barrier: with one, what a thread does after it would seem to
/// happen before what a slower thread does after it. New ones for each block, or blocks would seem to be in order.
struct Tags {
    char start, arrive, depart, warp_arrive[32][32], warp_depart[32][32];
};

struct Variable {
    const void* key;
    const char* name;
    char* data;
    std::size_t size;
};

/// Whose turn it is, and how far all were when its warp's, and the first warp's, last began.
struct Turn {
    std::size_t warp = 0, lane = 0;
    long warp_progress = -1, block_progress = -1;
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
    Turn turn;
    int current = 0, done = 0, arrived = 0, first = 0;
    long progress = 0;
    std::string error;
    // Shared memory.
    char* arena;
    std::vector<Variable> variables;
    std::size_t used = 0, bytes = 0;  // with red zones and without
    // Stacks, one for each thread of a block. A fiber is a thread to ThreadSanitizer, so there blocks take turns with
    // two sets, or neighbouring blocks would seem to be in order.
    Fiber scheduler;
    std::deque<Fiber> stacks[2];
    unsigned block = 0;
    std::unique_ptr<Tags> tags;
    char end_tag = 0;
    std::deque<Fenced> fences;                            // of the launch
    std::map<const void*, std::vector<Fenced*>> atomics;  // what who changed one had fenced before, in that order

    Engine();
    ~Engine();
    Thread& self() { return threads[current]; }
};

/// Of the calling thread. A plain pointer, which every call of a kernel's threads reads, needs no guard.
inline constinit thread_local Engine* current_engine = nullptr;
Engine& make_engine();
inline Engine& engine() { return current_engine ? *current_engine : make_engine(); }

/// From a thread's stack to the next one's, until the thread's next turn.
void yield(Engine& e);
/// Ends the launch; the block's stacks are abandoned.
[[noreturn]] void fail(Engine& e, std::string message);
/// Shared memory of a block that begins, and what is wrong with that of one that ended ("": nothing).
void start_memory(Engine& e);
std::string check_memory(const Engine& e);

/// Item i of a block or a grid, x first.
inline uint3 unfold(std::size_t i, const dim3& size) {
    return {static_cast<unsigned>(i % size.x), static_cast<unsigned>(i / size.x % size.y),
            static_cast<unsigned>(i / size.x / size.y)};
}
std::string text(const uint3& v);
std::string text(const Place& at);
/// Which thread is where.
std::string text(const Engine& e, int thread);
bool same(const Stop& a, const Stop& b);

}  // namespace nascent::simt
