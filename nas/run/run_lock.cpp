#include "nas/run/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"

namespace nascent {
namespace {

std::string host_name() {
    char name[256] = {};
    return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

/// Differs after every start of the machine; empty where there is no /proc.
std::string boot_id() {
    try {
        std::string id = read_file("/proc/sys/kernel/random/boot_id", 100);
        while (!id.empty() && id.back() == '\n') id.pop_back();
        return id;
    } catch (const Error&) {
        return "";
    }
}

/// "process 123 on host box", from what a holder wrote.
std::string describe(const std::string& text) {
    const nlohmann::json holder = nlohmann::json::parse(text, nullptr, false);
    if (!holder.is_object() || !holder.contains("pid") || !holder["pid"].is_number_integer() ||
        !holder.contains("host") || !holder["host"].is_string()) {
        return "an unnamed process";
    }
    return fmt::format("process {} on host {}", holder["pid"].get<long>(), holder["host"].get<std::string>());
}

std::string read_start(int fd) {
    char buffer[1024];
    const ssize_t n = ::pread(fd, buffer, sizeof buffer, 0);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
}

}  // namespace

RunLock::RunLock(std::string path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    NASCENT_CHECK(fd_ >= 0, runtime, "{}: cannot open: {}", path_, std::strerror(errno));
    int result = 0;
    while ((result = ::flock(fd_, LOCK_EX | LOCK_NB)) != 0 && errno == EINTR) {
    }
    if (result != 0) {
        const int code = errno;
        const std::string holder = read_start(fd_);
        ::close(fd_);
        NASCENT_CHECK(code == EWOULDBLOCK, runtime, "{}: cannot lock: {}", path_, std::strerror(code));
        fail(ErrorKind::usage, "{}: the run is in use by {}", path_, describe(holder));
    }
    const std::string before = read_start(fd_);
    if (!before.empty())
        note_ = fmt::format("took over the lock of {}, which ended without giving it back", describe(before));

    const std::string text =
        JsonObject().add("pid", ::getpid()).add("host", host_name()).add("boot", boot_id()).text() + "\n";
    // Who holds the lock is told to people only, so a disk that is full just here does not stop the run.
    if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) < 0)
        note_ += " (cannot write the holder's name)";
}

RunLock::~RunLock() {
    if (::ftruncate(fd_, 0) != 0) { /* the next holder will say that it took the lock over */
    }
    ::close(fd_);
}

}  // namespace nascent
