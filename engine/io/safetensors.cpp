#include "engine/io/safetensors.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/crc32.h"
#include "engine/io/json_text.h"
#include "engine/io/safetensors_header.h"

namespace nascent {

static_assert(std::endian::native == std::endian::little, "safetensors bytes are used as they lie in the file");

namespace {

constexpr std::uint64_t max_header = 100'000'000;  // the reference implementation's limit
constexpr std::uint64_t prefix = 8;                // the length before the header

struct DtypeName {
    std::string_view name;
    std::size_t size;
};
constexpr std::array<DtypeName, 13> dtypes = {{{"BOOL", 1},
                                               {"U8", 1},
                                               {"I8", 1},
                                               {"I16", 2},
                                               {"U16", 2},
                                               {"F16", 2},
                                               {"BF16", 2},
                                               {"I32", 4},
                                               {"U32", 4},
                                               {"F32", 4},
                                               {"F64", 8},
                                               {"I64", 8},
                                               {"U64", 8}}};

/// Bytes of a tensor, nothing if the product leaves 64 bits.
std::optional<std::uint64_t> byte_count(SafeDtype dtype, const std::vector<std::int64_t>& shape) {
    std::uint64_t count = size_of(dtype);
    for (std::int64_t extent : shape) {
        if (extent < 0 || __builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count))
            return std::nullopt;
    }
    return count;
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

  private:
    int fd_;
};

void read_exactly(int fd, std::span<std::byte> out, const std::string& path) {
    while (!out.empty()) {
        const ssize_t n = ::read(fd, out.data(), out.size());
        if (n < 0 && errno == EINTR) continue;
        NASCENT_CHECK(n >= 0, checkpoint, "{}: cannot read: {}", path, std::strerror(errno));
        NASCENT_CHECK(n > 0, checkpoint, "{}: the file became shorter while it was read, {} more bytes expected", path,
                      out.size());
        out = out.subspan(static_cast<std::size_t>(n));
    }
}

/// Checks the first 8 bytes against the file's length and returns the header's length.
std::uint64_t header_length(std::span<const std::byte> start, std::uint64_t file, const std::string& path) {
    NASCENT_CHECK(file >= prefix, checkpoint, "{}: {} bytes, a safetensors file has at least 8", path, file);
    std::uint64_t n = 0;
    std::memcpy(&n, start.data(), sizeof n);
    NASCENT_CHECK(n <= max_header, checkpoint, "{}: header of {} bytes, expected at most {}", path, n, max_header);
    NASCENT_CHECK(n <= file - prefix, checkpoint, "{}: header of {} bytes, but only {} bytes follow its length", path,
                  n, file - prefix);
    return n;
}

}  // namespace

std::size_t size_of(SafeDtype dtype) { return dtypes[static_cast<std::size_t>(dtype)].size; }
std::string_view name_of(SafeDtype dtype) { return dtypes[static_cast<std::size_t>(dtype)].name; }

FileStamp write_safetensors(const std::string& path, std::vector<SafeTensor> tensors,
                            const std::map<std::string, std::string>& metadata) {
    std::sort(tensors.begin(), tensors.end(), [](const SafeTensor& a, const SafeTensor& b) {
        return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
    });
    std::map<std::string_view, bool> names;
    JsonObject header;
    if (!metadata.empty()) {
        JsonObject texts;
        for (const auto& [key, value] : metadata) texts.add(key, value);
        header.add(safetensors_metadata, texts);
    }
    std::uint64_t offset = 0;
    for (const SafeTensor& t : tensors) {
        NASCENT_CHECK(t.name != safetensors_metadata && names.emplace(t.name, true).second, runtime,
                      "{}: tensor name \"{}\" is reserved or used twice", path, t.name);
        NASCENT_CHECK(byte_count(t.dtype, t.shape) == t.bytes.size(), runtime,
                      "{}: tensor \"{}\" of {} [{}] was given {} bytes", path, t.name, name_of(t.dtype),
                      fmt::join(t.shape, ", "), t.bytes.size());
        const std::uint64_t end = offset + t.bytes.size();
        header.add(t.name, JsonObject()
                               .add("dtype", name_of(t.dtype))
                               .add("shape", t.shape)
                               .add("data_offsets", std::vector<std::uint64_t>{offset, end}));
        offset = end;
    }
    std::string text = header.text();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    NASCENT_CHECK(text.size() <= max_header, runtime, "{}: the header would have {} bytes, at most {} are allowed",
                  path, text.size(), max_header);

    AtomicFile file(path);
    const std::uint64_t length = text.size();
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(text);
    for (const SafeTensor& t : tensors) file.write(t.bytes);
    file.commit();
    return {file.size(), file.crc32()};
}

SafeTensors SafeTensors::read(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    NASCENT_CHECK(file.get() >= 0, checkpoint, "{}: cannot open: {}", path, std::strerror(errno));
    struct stat info {};
    NASCENT_CHECK(::fstat(file.get(), &info) == 0, checkpoint, "{}: cannot look at: {}", path, std::strerror(errno));
    NASCENT_CHECK(S_ISREG(info.st_mode), checkpoint, "{}: not a file", path);
    const auto size = static_cast<std::uint64_t>(info.st_size);

    std::array<std::byte, prefix> start{};
    if (size >= prefix) read_exactly(file.get(), start, path);
    std::string header(header_length(start, size, path), '\0');
    read_exactly(file.get(), std::as_writable_bytes(std::span(header)), path);

    SafeTensors result;
    result.path_ = path;
    // The offsets must add up to the file's length before memory for them is taken.
    result.parse_header(header, size - prefix - header.size());
    try {
        result.payload_.resize(size - prefix - header.size());
    } catch (const std::bad_alloc&) {
        fail(ErrorKind::checkpoint, "{}: no memory for {} bytes of tensors", path, size);
    }
    read_exactly(file.get(), result.payload_, path);
    result.attach_views();
    result.stamp_ = {size, crc32(result.payload_, crc32(header, crc32(start)))};
    return result;
}

SafeTensors SafeTensors::parse(std::span<const std::byte> file, const std::string& name) {
    const std::uint64_t n = header_length(file, file.size(), name);
    const std::span<const std::byte> header = file.subspan(prefix, n), rest = file.subspan(prefix + n);
    SafeTensors result;
    result.path_ = name;
    result.parse_header({reinterpret_cast<const char*>(header.data()), header.size()}, rest.size());
    result.payload_.assign(rest.begin(), rest.end());
    result.attach_views();
    result.stamp_ = {file.size(), crc32(file)};
    return result;
}

void SafeTensors::parse_header(std::string_view header, std::uint64_t payload) {
    SafeHeader parsed = parse_safetensors_header(header, path_);
    metadata_ = std::move(parsed.metadata);
    // Sorted by offsets the tensors must follow one another without hole or overlap, up to the end of the file.
    std::sort(parsed.entries.begin(), parsed.entries.end(),
              [](const SafeEntry& a, const SafeEntry& b) { return a.offsets < b.offsets; });
    std::uint64_t expected = 0;
    for (const SafeEntry& e : parsed.entries) {
        const auto dtype =
            std::find_if(dtypes.begin(), dtypes.end(), [&](const DtypeName& d) { return d.name == e.dtype; });
        NASCENT_CHECK(dtype != dtypes.end(), checkpoint, "{}: tensor \"{}\": dtype \"{}\" is none this version reads",
                      path_, e.name, e.dtype);
        SafeTensor tensor{e.name, static_cast<SafeDtype>(dtype - dtypes.begin()), {}, {}};
        for (std::uint64_t extent : e.shape) {
            NASCENT_CHECK(extent <= std::numeric_limits<std::int64_t>::max(), checkpoint,
                          "{}: tensor \"{}\": an extent of {} in its shape", path_, e.name, extent);
            tensor.shape.push_back(static_cast<std::int64_t>(extent));
        }
        const std::uint64_t begin = e.offsets[0], end = e.offsets[1];
        const std::optional<std::uint64_t> bytes = byte_count(tensor.dtype, tensor.shape);
        NASCENT_CHECK(bytes == end - begin, checkpoint,
                      "{}: tensor \"{}\": {} [{}] does not fill data_offsets [{}, {}]", path_, e.name, e.dtype,
                      fmt::join(tensor.shape, ", "), begin, end);
        NASCENT_CHECK(begin == expected, checkpoint,
                      "{}: tensor \"{}\" begins at byte {}, expected {} (no hole and no overlap)", path_, e.name, begin,
                      expected);
        expected = end;
        NASCENT_CHECK(index_.emplace(e.name, tensors_.size()).second, checkpoint, "{}: tensor \"{}\" comes twice",
                      path_, e.name);
        tensors_.push_back(std::move(tensor));
    }
    NASCENT_CHECK(expected == payload, checkpoint, "{}: {} bytes of tensors, but the header describes {}", path_,
                  payload, expected);
}

void SafeTensors::attach_views() {
    std::size_t offset = 0;
    for (SafeTensor& t : tensors_) {
        const std::uint64_t bytes = *byte_count(t.dtype, t.shape);  // checked by parse_header
        t.bytes = std::span<const std::byte>(payload_).subspan(offset, bytes);
        offset += bytes;
    }
}

const SafeTensor* SafeTensors::find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &tensors_[found->second];
}

const SafeTensor& SafeTensors::get(std::string_view name, SafeDtype dtype, std::span<const std::int64_t> shape) const {
    const SafeTensor* t = find(name);
    NASCENT_CHECK(t != nullptr, checkpoint, "{}: no tensor \"{}\", expected {} [{}]", path_, name, name_of(dtype),
                  fmt::join(shape, ", "));
    NASCENT_CHECK(t->dtype == dtype && std::equal(shape.begin(), shape.end(), t->shape.begin(), t->shape.end()),
                  checkpoint, "{}: tensor \"{}\" is {} [{}], expected {} [{}]", path_, name, name_of(t->dtype),
                  fmt::join(t->shape, ", "), name_of(dtype), fmt::join(shape, ", "));
    return *t;
}

void SafeTensors::copy_bytes(std::string_view name, SafeDtype dtype, std::span<std::byte> out) const {
    const SafeTensor* t = find(name);
    NASCENT_CHECK(t != nullptr, checkpoint, "{}: no tensor \"{}\", expected {} with {} elements", path_, name,
                  name_of(dtype), out.size() / size_of(dtype));
    NASCENT_CHECK(t->dtype == dtype && t->bytes.size() == out.size(), checkpoint,
                  "{}: tensor \"{}\" is {} [{}], expected {} with {} elements", path_, name, name_of(t->dtype),
                  fmt::join(t->shape, ", "), name_of(dtype), out.size() / size_of(dtype));
    if (!out.empty()) std::memcpy(out.data(), t->bytes.data(), out.size());
}

}  // namespace nascent
