#include "engine/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/io/crc32.h"

namespace nascent {
namespace {

[[noreturn]] void system_error(const std::string& path, const char* what, int code,
                               ErrorKind kind = ErrorKind::runtime) {
    fail(kind, "{}: cannot {}: {}", path, what, std::strerror(code));
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
    static std::atomic<unsigned> count{0};
    temporary_ = fmt::format("{}.tmp-{}-{}", path_, getpid(), count++);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0) system_error(path_, "create the file", errno);
}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
    NASCENT_CHECK(fd_ >= 0, runtime, "{}: write after commit", path_);
    crc32_ = nascent::crc32(bytes, crc32_);
    size_ += bytes.size();
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) system_error(path_, "write", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::commit() {
    NASCENT_CHECK(fd_ >= 0, runtime, "{}: committed twice", path_);
    if (::fsync(fd_) != 0) system_error(path_, "make the file durable", errno);
    const int fd = fd_;
    fd_ = -1;
    // A network file system may report a full disk only now.
    if (::close(fd) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
        const int code = errno;
        ::unlink(temporary_.c_str());
        system_error(path_, "finish the file", code);
    }
    sync_directory(parent_directory(path_));
}

void write_file_atomic(const std::string& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

std::string read_file(const std::string& path, std::uint64_t limit) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) system_error(path, "open", errno, ErrorKind::data);
    std::string text;
    char buffer[1 << 16];
    for (;;) {
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        const int code = errno;
        if (n <= 0) ::close(fd);
        if (n < 0) system_error(path, "read", code, ErrorKind::data);
        if (n == 0) return text;
        text.append(buffer, static_cast<std::size_t>(n));
        if (text.size() > limit) {
            ::close(fd);
            fail(ErrorKind::data, "{}: more than {} bytes, expected at most that", path, limit);
        }
    }
}

void sync_directory(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) system_error(path, "open the folder", errno);
    const int result = ::fsync(fd);
    const int code = errno;
    ::close(fd);
    // EINVAL: a file system that cannot sync folders does so by itself.
    if (result != 0 && code != EINVAL) system_error(path, "make the folder durable", code);
}

void replace_directory(const std::string& temporary, const std::string& path) {
    if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
        sync_directory(parent_directory(path));
        std::error_code ignored;  // the old folder has a temporary name now; whoever lists the parent may remove it too
        std::filesystem::remove_all(temporary, ignored);
        return;
    }
    if (errno != ENOENT) {  // the file system knows no exchange
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    if (std::rename(temporary.c_str(), path.c_str()) != 0) system_error(path, "give the folder its name", errno);
    sync_directory(parent_directory(path));
}

std::string parent_directory(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_temporary_name(std::string_view name) { return name.find(".tmp-") != std::string_view::npos; }

}  // namespace nascent
