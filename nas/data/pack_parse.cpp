// The tables of a pack: foreign bytes.
#include <algorithm>
#include <cstring>

#include "engine/base/error.h"
#include "engine/io/crc32.h"
#include "nas/data/pack.h"
#include "nas/data/pack_layout.h"

namespace nascent {
namespace {
using namespace pack_layout;

/// Reads forward in a part of the file and never past it.
class Cursor {
  public:
    Cursor(std::span<const std::uint8_t> bytes, std::uint64_t offset, const std::string& name)
        : bytes_(bytes), offset_(offset), name_(name) {}
    std::size_t left() const { return bytes_.size() - at_; }
    std::uint64_t place() const { return offset_ + at_; }

    std::string_view text(std::size_t size, const char* what) {
        NASCENT_CHECK(size <= left(), data, "{}: byte {}: {} of {} bytes, {} are left in the tables", name_, place(),
                      what, size, left());
        const auto* p = reinterpret_cast<const char*>(bytes_.data() + at_);
        at_ += size;
        return {p, size};
    }
    template <class T>
    T number(const char* what) {
        const std::string_view raw = text(sizeof(T), what);
        std::uint64_t value = 0;
        for (std::size_t i = raw.size(); i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(raw[i]);
        return static_cast<T>(value);
    }
    std::string_view counted(const char* what) { return text(number<std::uint32_t>(what), what); }

  private:
    std::span<const std::uint8_t> bytes_;
    std::uint64_t offset_;
    const std::string& name_;
    std::size_t at_ = 0;
};

bool plain_name(std::string_view name) {
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
           name.find('\0') == std::string_view::npos;
}

/// "CLASS/FILE" of one of the classes; the class's number.
std::size_t class_of(std::string_view path, const std::vector<std::string>& classes, const std::string& name,
                     std::uint64_t place) {
    const std::size_t slash = path.find('/');
    const auto found = slash == std::string_view::npos
                           ? classes.end()
                           : std::lower_bound(classes.begin(), classes.end(), path.substr(0, slash));
    NASCENT_CHECK(found != classes.end() && *found == path.substr(0, slash) && plain_name(path.substr(slash + 1)), data,
                  "{}: byte {}: '{}' is not the name of a file in one of the classes", name, place,
                  path.substr(0, 200));
    return static_cast<std::size_t>(found - classes.begin());
}

PackSettings read_settings(Cursor& in, const std::string& name) {
    PackSettings s;
    const auto geometry = in.number<std::uint32_t>("geometry");
    const auto side = in.number<std::uint32_t>("side");
    const auto resize = in.number<std::uint32_t>("resizing");
    const auto orientation = in.number<std::uint32_t>("orientation");
    NASCENT_CHECK(
        geometry <= 2 && side <= most_side && resize <= 1 && orientation <= 1 && (geometry == 2) == (side == 0), data,
        "{}: byte {}: geometry {}, side {}, resizing {}, orientation {}", name, in.place(), geometry, side, resize,
        orientation);
    s.geometry = static_cast<PackGeometry>(geometry);
    s.side = static_cast<int>(side);
    s.resize = static_cast<Resampling>(resize);
    s.orientation = orientation == 1;
    return s;
}
}  // namespace

PackTail parse_pack_tail(std::span<const std::uint8_t> first, std::span<const std::uint8_t> last, std::size_t size,
                         const std::string& name) {
    NASCENT_CHECK(first.size() >= border && std::memcmp(first.data(), head_magic.data(), head_magic.size()) == 0, data,
                  "{}: not a pack: expected '{}' at byte 0 of at least {}", name, head_magic, border);
    Cursor head(first.subspan(head_magic.size(), 4), head_magic.size(), name);
    const auto found = head.number<std::uint32_t>("version");
    NASCENT_CHECK(found == version, data, "{}: a pack of version {}, expected {}: make it again", name, found, version);
    const std::size_t at = size - std::min(size - border, tail_bytes);
    const std::span<const std::uint8_t> bytes = last.last(size - at);
    NASCENT_CHECK(bytes.size() == tail_bytes &&
                      std::memcmp(&bytes[tail_bytes - tail_magic.size()], tail_magic.data(), tail_magic.size()) == 0,
                  data, "{}: cut short: expected '{}' at the end of {} bytes", name, tail_magic, size);
    Cursor tail(bytes, at, name);
    PackTail out;
    out.tables = tail.number<std::uint64_t>("tables");
    out.tables_bytes = tail.number<std::uint64_t>("length of the tables");
    const auto length = tail.number<std::uint64_t>("length of the file");
    out.tables_crc32 = tail.number<std::uint32_t>("checksum");
    const auto own_crc = tail.number<std::uint32_t>("checksum");
    NASCENT_CHECK(crc32(std::as_bytes(bytes.first(28))) == own_crc, data, "{}: byte {}: the file's end is damaged",
                  name, at);
    NASCENT_CHECK(length == size, data, "{}: {} bytes, expected {}", name, size, length);
    NASCENT_CHECK(
        out.tables % border == 0 && out.tables >= border && out.tables <= at && out.tables_bytes == at - out.tables,
        data, "{}: tables of {} bytes at {}, expected them to end at {}", name, out.tables_bytes, out.tables, at);
    return out;
}

PackTables parse_pack(std::span<const std::uint8_t> file, const std::string& name) {
    const PackTail tail = parse_pack_tail(file, file, file.size(), name);
    return parse_pack_tables(
        file.subspan(static_cast<std::size_t>(tail.tables), static_cast<std::size_t>(tail.tables_bytes)), tail, name);
}

PackTables parse_pack_tables(std::span<const std::uint8_t> tables, const PackTail& tail, const std::string& name) {
    NASCENT_CHECK(crc32(std::as_bytes(tables)) == tail.tables_crc32, data,
                  "{}: byte {}: the tables are damaged: their checksum is another", name, tail.tables);
    Cursor in(tables, tail.tables, name);
    PackTables out;
    out.settings = read_settings(in, name);
    const auto classes = in.number<std::uint32_t>("number of classes");
    const auto skipped = in.number<std::uint32_t>("number of skipped pictures");
    const auto count = in.number<std::uint64_t>("number of pictures");
    // Each takes at least its counts, so that nothing is reserved which the file cannot hold.
    NASCENT_CHECK(classes >= 1 && count >= 1 && count <= 0xFFFFFFFF && classes <= in.left() / 5 &&
                      skipped <= in.left() / 7 && count <= in.left() / entry_bytes,
                  data, "{}: {} classes, {} pictures and {} skipped ones in {} bytes", name, classes, count, skipped,
                  in.left());
    for (std::uint32_t i = 0; i < classes; i++) {
        const std::string_view text = in.counted("class name");
        NASCENT_CHECK(plain_name(text) && (i == 0 || out.class_names.back() < text), data,
                      "{}: byte {}: class name '{}', expected a folder's name, in order", name, in.place(),
                      text.substr(0, 200));
        out.class_names.emplace_back(text);
    }
    for (std::uint32_t i = 0; i < skipped; i++) {
        const std::string_view text = in.counted("skipped picture");
        class_of(text, out.class_names, name, in.place());
        out.skipped.emplace_back(text);
    }
    out.entries.resize(static_cast<std::size_t>(count));
    std::vector<std::uint32_t> lengths(out.entries.size());
    std::uint64_t expected = border;
    for (std::size_t i = 0; i < out.entries.size(); i++) {
        PackEntry& e = out.entries[i];
        e.offset = in.number<std::uint64_t>("offset");
        const auto height = in.number<std::uint32_t>("height"), width = in.number<std::uint32_t>("width");
        const auto label = in.number<std::uint32_t>("label");
        NASCENT_CHECK(height >= 1 && height <= most_side && width >= 1 && width <= most_side && label < classes, data,
                      "{}: byte {}: picture {} of {}x{} with label {}", name, in.place(), i, width, height, label);
        e.height = static_cast<int>(height), e.width = static_cast<int>(width), e.label = static_cast<int>(label);
        NASCENT_CHECK(e.offset == expected && e.offset <= tail.tables && e.bytes() <= tail.tables - e.offset, data,
                      "{}: byte {}: picture {} lies at {}, expected {}, and all before the tables at {}", name,
                      in.place(), i, e.offset, expected, tail.tables);
        expected = at_border(e.offset + e.bytes());
        e.crc32 = in.number<std::uint32_t>("checksum");
        e.source_bytes = in.number<std::uint64_t>("length of the source");
        e.source_time = in.number<std::int64_t>("time of the source");
        e.source_crc32 = in.number<std::uint32_t>("checksum of the source");
        lengths[i] = in.number<std::uint32_t>("length of a name");
    }
    NASCENT_CHECK(expected == tail.tables, data, "{}: pictures end at {}, tables begin at {}", name, expected,
                  tail.tables);
    for (std::size_t i = 0; i < out.entries.size(); i++) {
        PackEntry& e = out.entries[i];
        e.name = in.text(lengths[i], "name");
        NASCENT_CHECK(class_of(e.name, out.class_names, name, in.place()) == static_cast<std::size_t>(e.label), data,
                      "{}: byte {}: '{}' has label {}", name, in.place(), e.name.substr(0, 200), e.label);
    }
    NASCENT_CHECK(in.left() == 0, data, "{}: byte {}: {} bytes too many in the tables", name, in.place(), in.left());
    return out;
}

}  // namespace nascent
