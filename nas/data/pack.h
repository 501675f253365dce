// A pack: the pictures of one split, decoded and resized once, in one file that is mapped into memory
// (docs/formats.md).
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nas/data/class_folders.h"
#include "nas/data/file.h"
#include "nas/data/picture.h"
#include "nas/data/resample.h"

namespace nascent {

/// shorter_side: no side below `side` where the picture allows it: larger pictures are resized until the shorter side
/// is `side` (the longer one cut to whole pixels), smaller ones stay as they are. square: the centre square, resized to
/// side x side (`square_resized`, as load_dataset does). original: as they are; `side` is 0.
enum class PackGeometry : std::uint32_t { shorter_side, square, original };

struct PackSettings {
    PackGeometry geometry = PackGeometry::shorter_side;
    int side = 256;
    Resampling resize = Resampling::pillow;  // shorter_side
    bool orientation = false;                // DecodeOptions::orientation
    bool operator==(const PackSettings&) const = default;
};

/// One picture's line in the index.
struct PackEntry {
    std::uint64_t offset = 0;  // of its first byte in the file, a multiple of 64
    int height = 0, width = 0, label = 0;
    std::uint32_t crc32 = 0;  // of the pixels
    // What it was made of: its length, when it was changed last (ns since 1970) and its bytes' CRC-32.
    std::uint64_t source_bytes = 0;
    std::int64_t source_time = 0;
    std::uint32_t source_crc32 = 0;
    std::string_view name;  // "CLASS/FILE"

    std::size_t bytes() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3; }
};

/// All of a pack but its pixels.
struct PackTables {
    PackSettings settings;
    std::vector<std::string> class_names;
    std::vector<std::string> skipped;  // "CLASS/FILE" of corrupt pictures that were left out
    std::vector<PackEntry> entries;    // names are views of the file's bytes
};

/// Reads the tables of the pack that `file` is all of. Every length, offset and name is checked, and so are the
/// checksums of header and tables; pixels are not read. Throws Error(data) that names `name`, the place and what was
/// expected.
PackTables parse_pack(std::span<const std::uint8_t> file, const std::string& name);

/// A pack that is read as pictures are asked for. Safe to use from several threads. A file that is cut while it is open
/// (write_pack never does; it replaces) is an error whenever that happens.
class Pack {
  public:
    /// Throws Error(data) when there is no such file or it is not a whole pack.
    static std::shared_ptr<const Pack> open(const std::string& path);
    ~Pack();
    Pack(const Pack&) = delete;
    Pack& operator=(const Pack&) = delete;

    const std::string& path() const { return path_; }
    const PackSettings& settings() const { return tables_.settings; }
    const std::vector<std::string>& class_names() const { return tables_.class_names; }
    const std::vector<std::string>& skipped() const { return tables_.skipped; }
    std::size_t count() const { return tables_.entries.size(); }
    const PackEntry& entry(std::size_t i) const { return tables_.entries[i]; }
    int label(std::size_t i) const { return entry(i).label; }
    std::string name(std::size_t i) const { return std::string(entry(i).name); }

    /// The pixels, in `buffer`, which grows as it must; the whole picture is compared with its checksum the first time.
    /// Throws Error(data) that names the pack, and the picture when it is damaged, where the file cannot be read or has
    /// been cut.
    PictureView picture(std::size_t i, Bytes& buffer) const { return rows(i, 0, entry(i).height, buffer); }
    /// Rows top .. top + height of it.
    PictureView rows(std::size_t i, int top, int height, Bytes& buffer) const;
    /// All pictures against their checksums.
    void verify() const;

    /// Throws Error(data) unless the pack was made of these files: the same names, lengths and times of the last
    /// change; where only the time differs, the same bytes. Says which picture differs first and how many do.
    void check_sources(const ClassFolders& folders) const;
    /// The same as a yes or no, with what differs in `why`.
    bool matches(const ClassFolders& folders, std::string& why) const;

  private:
    Pack() = default;
    void read_at(std::uint64_t offset, std::span<std::uint8_t> to) const;
    std::string path_;
    int descriptor_ = -1;
    std::size_t size_ = 0;  // of the file when it was opened
    std::string names_;     // those of all entries
    PackTables tables_;
    mutable std::vector<std::atomic<bool>> verified_;
};

/// DIR/train.pack and DIR/test.pack or DIR/val.pack, of the same classes; `classes`: how many there must be, 0 for any.
/// Throws Error(data) otherwise. Where no test is needed and there is none it is null.
struct PackedSplits {
    std::shared_ptr<const Pack> train, test;
};
PackedSplits open_packs(const std::string& path, int classes, bool needs_test = true);

}  // namespace nascent
