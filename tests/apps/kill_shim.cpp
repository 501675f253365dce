// A library for LD_PRELOAD that kills its process inside a system call: NASCENT_TEST_KILL="write:17" ends it half-way
// through its 17th write to a file; "fsync:3" before the third fsync; "rename:2" before and "renamed:2" after the
// second rename. Calls to standard output and error do not count.
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {

struct Plan {
    const char* call = nullptr;
    std::size_t length = 0;
    long at = 0;
    Plan() {
        call = std::getenv("NASCENT_TEST_KILL");
        const char* colon = call ? std::strchr(call, ':') : nullptr;
        if (!colon) return;
        length = static_cast<std::size_t>(colon - call);
        at = std::atol(colon + 1);
    }
};

bool now(const char* name, std::atomic<long>& calls) {
    static const Plan plan;
    if (plan.at == 0 || std::strlen(name) != plan.length || std::strncmp(name, plan.call, plan.length) != 0)
        return false;
    return ++calls == plan.at;
}

void die() {
    raise(SIGKILL);
    for (;;) pause();
}

template <class F>
F next(const char* name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

std::atomic<long> writes, syncs, renames, renamed;

template <class Call>
int around_rename(Call&& call) {
    if (now("rename", renames)) die();
    const int result = call();
    if (now("renamed", renamed)) die();
    return result;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
    if (fd > 2 && now("write", writes)) {
        (void)!real(fd, data, size / 2);
        die();
    }
    return real(fd, data, size);
}

int fsync(int fd) {
    static const auto real = next<int (*)(int)>("fsync");
    if (now("fsync", syncs)) die();
    return real(fd);
}

int rename(const char* from, const char* to) noexcept {
    static const auto real = next<int (*)(const char*, const char*)>("rename");
    return around_rename([&] { return real(from, to); });
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
    static const auto real = next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
    return around_rename([&] { return real(from_fd, from, to_fd, to, flags); });
}
}
