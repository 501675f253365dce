// Files that are either the old ones or the complete new ones, also after a power cut: a temporary in the same folder,
// fsync, rename, fsync of the folder. Every failure is an Error of kind runtime that names the path and what the
// operating system said (a full disk: "No space left on device").
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace nascent {

/// One file being written under a temporary name (`path` + ".tmp-PID-N"). Without commit() it disappears again.
class AtomicFile {
  public:
    explicit AtomicFile(std::string path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    void write(std::span<const std::byte> bytes);
    void write(std::string_view text);
    /// Makes the file durable and gives it its name, replacing what had that name.
    void commit();
    /// Of everything written so far.
    std::uint32_t crc32() const { return crc32_; }
    std::uint64_t size() const { return size_; }

  private:
    std::string path_, temporary_;
    int fd_ = -1;
    std::uint32_t crc32_ = 0;
    std::uint64_t size_ = 0;
};

/// Writes the whole file, or leaves what was there.
void write_file_atomic(const std::string& path, std::string_view text);

/// The whole file; an Error of kind data if it cannot be read or has more than `limit` bytes.
std::string read_file(const std::string& path, std::uint64_t limit = std::uint64_t{1} << 30);

/// Makes the names in a folder durable.
void sync_directory(const std::string& path);

/// Gives a complete folder its final name and makes that durable (both names in the same parent). A folder that already
/// has the name is replaced: exchanged in one step where the file system can, then removed.
void replace_directory(const std::string& temporary, const std::string& path);

/// The folder a path lies in; "." for a bare name.
std::string parent_directory(const std::string& path);

/// True for names that an AtomicFile or a killed process can have left behind (".tmp-" in the name).
bool is_temporary_name(std::string_view name);

}  // namespace nascent
