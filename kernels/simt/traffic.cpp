// Stamps on sectors: the last block, and the last launch, that read or wrote one. Blocks run one after another.
#include "kernels/simt/traffic.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace nascent::simt {

#if defined(NASCENT_COUNT_TRAFFIC)
namespace {

constexpr std::size_t kSector = 32;

/// Pages come as they are touched.
struct Stamps {
    explicit Stamps(std::size_t sectors) : bytes(sectors * sizeof(std::uint32_t)) {
        void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        at = static_cast<std::uint32_t*>(p);
    }
    ~Stamps() { munmap(at, bytes); }
    Stamps(const Stamps&) = delete;
    Stamps& operator=(const Stamps&) = delete;
    std::size_t bytes;
    std::uint32_t* at;
};

struct Range {
    const char* base;
    std::size_t bytes, sectors = (bytes + kSector - 1) / kSector + 1;
    Stamps block[2]{Stamps(sectors), Stamps(sectors)}, launch[2]{Stamps(sectors), Stamps(sectors)};  // read, written
};

// One launch at a time counts: the stamps are the process's.
std::mutex mutex;
std::vector<std::unique_ptr<Range>> ranges;
std::map<std::string, Traffic> places;
std::uint32_t blocks = 0, launches = 0;
thread_local Traffic* counting = nullptr;

}  // namespace

bool counts_traffic() { return true; }

namespace {

/// At the program's end, into the file that the environment names: a line of JSON a place.
const struct Report {
    ~Report() {
        const char* path = std::getenv("NASCENT_TRAFFIC");
        if (!path) return;
        std::ofstream out(path);
        for (const Traffic& t : take_traffic())
            out << "{\"place\": \"" << t.place << "\", \"launches\": " << t.launches << ", \"blocks\": " << t.blocks
                << ", \"read\": [" << t.read.moved << ", " << t.read.needed << "], \"written\": [" << t.written.moved
                << ", " << t.written.needed << "]}\n";
    }
} report;

}  // namespace

void count_traffic(const void* base, std::size_t bytes) {
    std::scoped_lock lock(mutex);
    ranges.push_back(std::make_unique<Range>(static_cast<const char*>(base), bytes));
}
void forget_traffic(const void* base) {
    std::scoped_lock lock(mutex);
    std::erase_if(ranges, [&](const auto& r) { return r->base == base; });
}

std::vector<Traffic> take_traffic() {
    std::scoped_lock lock(mutex);
    std::vector<Traffic> all;
    for (auto& [place, t] : places) all.push_back(std::move(t));
    places.clear();
    return all;
}

CountedLaunch::CountedLaunch(const Place& at) {
    mutex.lock();
    const std::string place = std::string(at.file_name()) + ":" + std::to_string(at.line()) + ", " + at.function_name();
    counting = &places[place];
    counting->place = place;
    counting->launches++;
    launches++;
}
void CountedLaunch::begin_block() const {
    counting->blocks++;
    blocks++;
}
CountedLaunch::~CountedLaunch() {
    counting = nullptr;
    mutex.unlock();
}

void touch(const void* p, std::size_t bytes, bool write) {
    if (!counting) return;
    for (const auto& r : ranges) {
        const auto offset = static_cast<std::size_t>(static_cast<const char*>(p) - r->base);
        if (offset >= r->bytes) continue;
        Traffic::Bytes& to = write ? counting->written : counting->read;
        for (std::size_t s = offset / kSector; s <= (offset + bytes - 1) / kSector; s++) {
            if (std::exchange(r->block[write].at[s], blocks) != blocks) to.moved += kSector;
            if (std::exchange(r->launch[write].at[s], launches) != launches) to.needed += kSector;
        }
        return;
    }
}

// What gcc's -fsanitize=kernel-address calls in place of accesses it cannot check itself.
#define NASCENT_HOOK(kind, size, write) \
    extern "C" void __asan_##kind##size##_noabort(const void* p) { touch(p, size, write); }
#define NASCENT_HOOKS(size)         \
    NASCENT_HOOK(load, size, false) \
    NASCENT_HOOK(store, size, true)
NASCENT_HOOKS(1)
NASCENT_HOOKS(2)
NASCENT_HOOKS(4)
NASCENT_HOOKS(8)
NASCENT_HOOKS(16)
extern "C" void __asan_loadN_noabort(const void* p, std::size_t bytes) { touch(p, bytes, false); }
extern "C" void __asan_storeN_noabort(const void* p, std::size_t bytes) { touch(p, bytes, true); }
extern "C" void __asan_handle_no_return() {}
extern "C" void __asan_before_dynamic_init(const char*) {}
extern "C" void __asan_after_dynamic_init() {}

#else

bool counts_traffic() { return false; }
void count_traffic(const void*, std::size_t) {}
void forget_traffic(const void*) {}
std::vector<Traffic> take_traffic() { return {}; }
void touch(const void*, std::size_t, bool) {}
CountedLaunch::CountedLaunch(const Place&) {}
CountedLaunch::~CountedLaunch() = default;
void CountedLaunch::begin_block() const {}

#endif

}  // namespace nascent::simt
