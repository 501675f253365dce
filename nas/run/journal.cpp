#include "nas/run/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

namespace nascent {
namespace {

constexpr std::uint64_t max_journal = std::uint64_t{1} << 33;

void write_all(int fd, std::string_view text, const std::string& path) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        NASCENT_CHECK(n >= 0, runtime, "{}: cannot write: {}", path, std::strerror(errno));
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

struct Prefix {
    std::int64_t bytes = 0, records = 0, last_step = 0;
};

/// The part of a journal that is whole: complete lines of records numbered from 0; at most `limit` of them.
Prefix whole_prefix(std::string_view text, std::int64_t limit) {
    Prefix p;
    while (p.records < limit) {
        const std::size_t end = text.find('\n', static_cast<std::size_t>(p.bytes));
        if (end == std::string_view::npos) break;
        const std::string_view line =
            text.substr(static_cast<std::size_t>(p.bytes), end - static_cast<std::size_t>(p.bytes));
        const nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
        const auto number = [&](const char* name) {
            return record.is_object() && record.contains(name) && record[name].is_number_integer()
                       ? record[name].get<std::int64_t>()
                       : -1;
        };
        if (number("v") != 1 || number("seq") != p.records || number("step") < p.last_step) break;
        p.last_step = number("step");
        p.bytes = static_cast<std::int64_t>(end) + 1;
        p.records++;
    }
    return p;
}

}  // namespace

Journal::Journal(std::string path) : path_(std::move(path)) {
    open();
    const std::string text = read_file(path_, max_journal);
    const Prefix whole = whole_prefix(text, std::numeric_limits<std::int64_t>::max());
    if (whole.bytes < static_cast<std::int64_t>(text.size())) {
        warning_ = fmt::format("{}: {} bytes after record {} are torn or damaged, moved to {}.damaged", path_,
                               static_cast<std::int64_t>(text.size()) - whole.bytes, whole.records, path_);
        move_tail(whole.bytes, path_ + ".damaged");
    }
    size_ = whole.records;
    last_step_ = whole.last_step;
}

Journal::~Journal() {
    if (fd_ >= 0) ::close(fd_);
}

void Journal::open() {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    NASCENT_CHECK(fd_ >= 0, runtime, "{}: cannot open: {}", path_, std::strerror(errno));
}

void Journal::append(std::string_view kind, std::int64_t step, const JsonObject& fields) {
    NASCENT_CHECK(step >= last_step_, runtime, "{}: record of step {} after one of step {}", path_, step, last_step_);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    std::string line = "{";
    line += JsonObject()
                .add("v", 1)
                .add("seq", size_)
                .add("t", std::chrono::duration_cast<std::chrono::milliseconds>(now).count())
                .add("kind", kind)
                .add("step", step)
                .members();
    if (!fields.members().empty()) line += "," + fields.members();
    line += "}\n";
    write_all(fd_, line, path_);
    size_++;
    last_step_ = step;
}

void Journal::rewind(std::int64_t size, const std::string& side_path) {
    if (size >= size_) return;
    const std::string text = read_file(path_, max_journal);
    const Prefix kept = whole_prefix(text, size);
    move_tail(kept.bytes, side_path);
    size_ = kept.records;
    last_step_ = kept.last_step;
}

void Journal::move_tail(std::int64_t offset, const std::string& side_path) {
    const std::string tail = read_file(path_, max_journal).substr(static_cast<std::size_t>(offset));
    const int side = ::open(side_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    NASCENT_CHECK(side >= 0, runtime, "{}: cannot open: {}", side_path, std::strerror(errno));
    try {
        write_all(side, tail, side_path);
    } catch (...) {
        ::close(side);
        throw;
    }
    ::close(side);
    NASCENT_CHECK(::ftruncate(fd_, offset) == 0, runtime, "{}: cannot shorten: {}", path_, std::strerror(errno));
    sync();
}

void Journal::sync() {
    NASCENT_CHECK(::fsync(fd_) == 0, runtime, "{}: cannot make durable: {}", path_, std::strerror(errno));
}

}  // namespace nascent
