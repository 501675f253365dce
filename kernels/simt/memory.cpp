// A block's shared memory, between red zones and full of NaN at first, and what arrives in it asynchronously.
#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "kernels/simt/engine.h"
#include "kernels/simt/traffic.h"

namespace nascent::simt {
namespace {

constexpr std::size_t kRedZone = 256, kArena = 512 * 1024, kVariables = 64;
constexpr char kRed = '\x5a', kNan = '\xff';

char* map(char* at, std::size_t size, int flags) {
    void* p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(p);
}

void fill(char* from, std::size_t size, char with) {
    if constexpr (!kRaces)
        std::memset(from, with, size);
    else
        for (volatile char* p = from; p != from + size; p++) *p = with;  // not memset, which ThreadSanitizer would see
}

}  // namespace

Engine::Engine() : arena(map(nullptr, kArena, 0)) {
    ASAN_POISON_MEMORY_REGION(arena, kArena);
    variables.reserve(kVariables);
}
Engine::~Engine() {
    ASAN_UNPOISON_MEMORY_REGION(arena, kArena);
    munmap(arena, kArena);
}

void start_memory(Engine& e) {
    ASAN_POISON_MEMORY_REGION(e.arena, e.used);
    if constexpr (kRaces) {  // so that the mapping makes what other blocks did here be forgotten
        const Untracked untracked;
        if (e.used) map(e.arena, (e.used + kRedZone + 4095) / 4096 * 4096, MAP_FIXED);
        std::erase_if(e.atomics, [&](const auto& a) { return a.first >= e.arena && a.first < e.arena + kArena; });
    }
    e.used = e.bytes = 0;
    e.variables.clear();
}

std::string check_memory(const Engine& e) {
    if constexpr (kAddresses) return "";  // the sanitizer has said more already
    auto red = [](char c) { return c == kRed; };
    for (const Variable& v : e.variables) {
        const char* end = v.data + v.size;
        if (!std::all_of(v.data - kRedZone, v.data, red) || !std::all_of(end, end + kRedZone, red))
            return std::string("shared memory beside ") + v.name + " was written";
    }
    return "";
}

void* shared(const void* key, const char* name, std::size_t size, std::size_t alignment) {
    Engine& e = engine();
    for (const Variable& v : e.variables)
        if (v.key == key) return v.data;
    alignment = std::max<std::size_t>(alignment, 16);
    e.bytes = (e.bytes + alignment - 1) / alignment * alignment + size;
    const std::size_t at = (e.used + kRedZone + alignment - 1) / alignment * alignment;
    if (e.bytes > e.limit || at + size + kRedZone > kArena || e.variables.size() == kVariables)
        fail(e, std::string("too much shared memory: ") + std::to_string(e.bytes) + " bytes with " + name +
                    ", allowed are " + std::to_string(e.limit));
    ASAN_UNPOISON_MEMORY_REGION(e.arena + e.used, at + size + kRedZone - e.used);
    fill(e.arena + e.used, at - e.used, kRed);
    fill(e.arena + at, size, kNan);
    fill(e.arena + at + size, kRedZone, kRed);
    ASAN_POISON_MEMORY_REGION(e.arena + e.used, at - e.used);
    ASAN_POISON_MEMORY_REGION(e.arena + at + size, kRedZone);
    e.used = at + size;
    e.variables.push_back({key, name, e.arena + at, size});
    return e.arena + at;
}

void* dynamic_shared(std::size_t alignment) {
    static const char key = 0;
    return shared(&key, "the dynamic shared memory", engine().dynamic_bytes, alignment);
}

void require_aligned(const void* p, std::size_t alignment, bool in_shared, const char* what, const Place& at) {
    Engine& e = engine();
    const char* c = static_cast<const char*>(p);
    const bool inside = !in_shared || std::ranges::any_of(e.variables, [&](const Variable& v) {
        return c >= v.data && c + alignment <= v.data + v.size;
    });
    if (inside && reinterpret_cast<std::uintptr_t>(p) % alignment == 0) return;
    e.self().stop = {what, 0, at};
    fail(e, (inside ? "address is no multiple of " + std::to_string(alignment) : "address is not in shared memory") +
                ": " + text(e, e.current));
}

void cp_async(void* to, const void* from, unsigned size, unsigned valid, const Place& at) {
    Engine& e = engine();
    require_aligned(to, size, true, "cp_async to", at);
    require_aligned(from, size, false, "cp_async from", at);
    note_write(to, size);
    if (valid > 0) touch(from, std::min(valid, size), false);
    fill(static_cast<char*>(to), size, kNan);
    e.self().copies.push_back({to, from, size, std::min(valid, size), e.self().group});
}
void cp_async_commit() { engine().self().group++; }
void cp_async_wait_all_but(int pending) {
    Thread& t = engine().self();
    std::erase_if(t.copies, [&](const Copy& c) {
        if (c.group >= t.group - pending) return false;
        note_write(c.to, c.size);
        std::memcpy(c.to, c.from, c.valid);
        std::memset(static_cast<char*>(c.to) + c.valid, 0, c.size - c.valid);
        return true;
    });
}

}  // namespace nascent::simt
