#include "nas/data/pack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "engine/io/crc32.h"
#include "nas/data/file.h"
#include "nas/data/pack_layout.h"

namespace nascent {
namespace {
/// The differences between what a pack holds and what is in the folders.
class Differences {
  public:
    void add(const std::string& text) {
        if (count_++ == 0) first_ = text;
    }
    std::size_t count() const { return count_; }
    std::string text() const { return count_ > 1 ? fmt::format("{} and {} more", first_, count_ - 1) : first_; }

  private:
    std::string first_;
    std::size_t count_ = 0;
};

/// "" or how the file at `path` differs from what was packed.
std::string difference(const PackEntry& e, const std::string& path) {
    FileStat found;
    try {
        found = file_stat(path);
    } catch (const Error& error) {
        return error.what();
    }
    if (found.bytes != e.source_bytes) {
        return fmt::format("'{}' had {} bytes and has {}", e.name, e.source_bytes, found.bytes);
    }
    if (found.time == e.source_time) return "";
    const Bytes bytes = read_bytes(path, e.source_bytes);
    if (crc32(std::as_bytes(std::span(bytes))) == e.source_crc32) return "";  // copied
    return fmt::format("'{}' has other bytes than when it was packed", e.name);
}
}  // namespace

std::shared_ptr<const Pack> Pack::open(const std::string& path) {
    std::shared_ptr<Pack> pack(new Pack);
    pack->path_ = path;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    NASCENT_CHECK(fd >= 0, data, "{}: {}", path, std::strerror(errno));
    struct stat status = {};
    const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    pack->descriptor_ = fd;
    NASCENT_CHECK(regular, data, "{}: not a regular file", path);
    NASCENT_CHECK(status.st_size > 0, data, "{}: not a pack: empty", path);
    pack->size_ = static_cast<std::size_t>(status.st_size);
    const std::size_t most = std::min(pack->size_, std::max(pack_layout::border, pack_layout::tail_bytes));
    Bytes head(most), end(most);
    pack->read_at(0, head);
    pack->read_at(pack->size_ - most, end);
    const PackTail tail = parse_pack_tail(head, end, pack->size_, path);
    Bytes tables(static_cast<std::size_t>(tail.tables_bytes));
    pack->read_at(tail.tables, tables);
    pack->tables_ = parse_pack_tables(tables, tail, path);
    std::size_t length = 0;
    for (const PackEntry& e : pack->tables_.entries) length += e.name.size();
    pack->names_.reserve(length);
    for (PackEntry& e : pack->tables_.entries) {
        const std::size_t at = pack->names_.size();
        pack->names_ += e.name;
        e.name = std::string_view(pack->names_).substr(at);
    }
    pack->verified_ = std::vector<std::atomic<bool>>(pack->count());
    return pack;
}

Pack::~Pack() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void Pack::read_at(std::uint64_t offset, std::span<std::uint8_t> to) const {
    while (!to.empty()) {
        const ssize_t got = ::pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        NASCENT_CHECK(got >= 0, data, "{}: byte {}: {}", path_, offset, std::strerror(errno));
        struct stat status = {};
        NASCENT_CHECK(got > 0, data, "{}: was cut to {} bytes while it is read, expected {}; make the pack again",
                      path_, ::fstat(descriptor_, &status) == 0 ? status.st_size : 0, size_);
        to = to.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
}

PictureView Pack::rows(std::size_t i, int top, int height, Bytes& buffer) const {
    const PackEntry& e = entry(i);
    const std::size_t stride = static_cast<std::size_t>(e.width) * 3, before = static_cast<std::size_t>(top) * stride;
    const bool verified = verified_[i].load(std::memory_order_relaxed);
    const std::size_t size = verified ? static_cast<std::size_t>(height) * stride : e.bytes();
    if (buffer.size() < size) buffer.resize(size);
    const std::span<std::uint8_t> bytes = std::span(buffer).first(size);
    read_at(e.offset + (verified ? before : 0), bytes);
    if (!verified) {
        NASCENT_CHECK(crc32(std::as_bytes(bytes)) == e.crc32, data,
                      "{}: byte {}: picture '{}' is damaged: its checksum is another; make the pack again", path_,
                      e.offset, e.name);
        verified_[i].store(true, std::memory_order_relaxed);
    }
    return {bytes.data() + (verified ? 0 : before), stride, height, e.width};
}

void Pack::verify() const {
    Bytes buffer;
    for (std::size_t i = 0; i < count(); i++) picture(i, buffer);
}

bool Pack::matches(const ClassFolders& folders, std::string& why) const {
    Differences all;
    std::vector<std::pair<std::string_view, const PackEntry*>> packed;  // sorted as the listing is: by class, then name
    for (const PackEntry& e : tables_.entries) packed.emplace_back(e.name, &e);
    for (const std::string& name : tables_.skipped) packed.emplace_back(name, nullptr);
    const auto key = [](std::string_view name) {
        const std::size_t slash = name.find('/');
        return std::pair(name.substr(0, slash), name.substr(slash + 1));
    };
    std::sort(packed.begin(), packed.end(), [&](const auto& a, const auto& b) { return key(a.first) < key(b.first); });
    std::size_t p = 0, f = 0;
    while (p < packed.size() || f < folders.files.size()) {
        const bool gone =
            f == folders.files.size() || (p < packed.size() && key(packed[p].first) < key(folders.files[f]));
        if (gone) {
            all.add(fmt::format("'{}' is not there any more", packed[p++].first));
        } else if (p == packed.size() || packed[p].first != folders.files[f]) {
            all.add(fmt::format("'{}' is not in the pack", folders.files[f++]));
        } else {
            const PackEntry* e = packed[p++].second;
            const std::string text = e != nullptr ? difference(*e, folders.path(f)) : "";
            f++;
            if (!text.empty()) all.add(text);
        }
    }
    why = all.text();
    return all.count() == 0;
}

void Pack::check_sources(const ClassFolders& folders) const {
    std::string why;
    NASCENT_CHECK(matches(folders, why), data,
                  "{}: this pack does not match the pictures in {}: {}; make it again with `data pack`", path_,
                  folders.root, why);
}

}  // namespace nascent
