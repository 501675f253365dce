// safetensors files (https://github.com/huggingface/safetensors): u64 length N, N bytes of JSON, then the tensors'
// bytes, little-endian, C order. The writer orders and pads as the reference implementation does, so files are
// byte-identical to its own; the reader believes nothing: every length, offset and name is checked before a byte is
// used.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace nascent {

/// In the order of the reference implementation, which is also the (ascending) order of alignment.
enum class SafeDtype { boolean, u8, i8, i16, u16, f16, bf16, i32, u32, f32, f64, i64, u64 };

std::size_t size_of(SafeDtype dtype);
/// "F32", as written in files.
std::string_view name_of(SafeDtype dtype);
template <class T>
constexpr SafeDtype safe_dtype();

/// A named array whose bytes belong to somebody else. An empty shape is a scalar.
struct SafeTensor {
    std::string name;
    SafeDtype dtype = SafeDtype::f32;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> bytes;
};

/// A view of `values`, which must outlive it: safe_tensor("w", {2, 3}, std::span(w)).
template <class T, std::size_t N>
SafeTensor safe_tensor(std::string name, std::vector<std::int64_t> shape, std::span<T, N> values) {
    return {std::move(name), safe_dtype<std::remove_const_t<T>>(), std::move(shape), std::as_bytes(values)};
}

/// How a file looked when it was written, to recognise it later.
struct FileStamp {
    std::uint64_t bytes = 0;
    std::uint32_t crc32 = 0;
};

/// Writes the file atomically. Tensors are ordered by descending alignment, then name. Error of kind runtime for a name
/// that is used twice or is "__metadata__", bytes that do not fit the shape, or a disk that does not take them.
FileStamp write_safetensors(const std::string& path, std::vector<SafeTensor> tensors,
                            const std::map<std::string, std::string>& metadata = {});

/// A file in memory. Errors are of kind checkpoint and name the file, the tensor and what was expected.
class SafeTensors {
  public:
    /// A path that cannot be opened is an error of kind checkpoint too.
    static SafeTensors read(const std::string& path);
    /// The same for bytes that are in memory already; `name` stands for the file in messages.
    static SafeTensors parse(std::span<const std::byte> file, const std::string& name);

    /// In the order of the file. The views hold as long as this object, also after it was moved.
    const std::vector<SafeTensor>& tensors() const { return tensors_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const std::string& path() const { return path_; }
    /// Length and CRC of the whole file.
    FileStamp stamp() const { return stamp_; }
    /// nullptr if there is none.
    const SafeTensor* find(std::string_view name) const;
    /// The tensor with exactly this dtype and shape, or an Error that says what is there instead.
    const SafeTensor& get(std::string_view name, SafeDtype dtype, std::span<const std::int64_t> shape) const;
    /// Copies the values of a tensor of T's dtype with `out.size()` elements, whatever its shape.
    template <class T, std::size_t N>
    void copy(std::string_view name, std::span<T, N> out) const {
        copy_bytes(name, safe_dtype<T>(), std::as_writable_bytes(out));
    }

  private:
    void parse_header(std::string_view header, std::uint64_t payload);
    void attach_views();
    void copy_bytes(std::string_view name, SafeDtype dtype, std::span<std::byte> out) const;
    std::string path_;
    std::vector<std::byte> payload_;
    std::vector<SafeTensor> tensors_;
    std::map<std::string, std::size_t, std::less<>> index_;
    std::map<std::string, std::string> metadata_;
    FileStamp stamp_;
};

template <>
constexpr SafeDtype safe_dtype<bool>() {
    return SafeDtype::boolean;
}
template <>
constexpr SafeDtype safe_dtype<std::uint8_t>() {
    return SafeDtype::u8;
}
template <>
constexpr SafeDtype safe_dtype<std::int8_t>() {
    return SafeDtype::i8;
}
template <>
constexpr SafeDtype safe_dtype<std::int16_t>() {
    return SafeDtype::i16;
}
template <>
constexpr SafeDtype safe_dtype<std::uint16_t>() {
    return SafeDtype::u16;
}
template <>
constexpr SafeDtype safe_dtype<std::int32_t>() {
    return SafeDtype::i32;
}
template <>
constexpr SafeDtype safe_dtype<std::uint32_t>() {
    return SafeDtype::u32;
}
template <>
constexpr SafeDtype safe_dtype<float>() {
    return SafeDtype::f32;
}
template <>
constexpr SafeDtype safe_dtype<double>() {
    return SafeDtype::f64;
}
template <>
constexpr SafeDtype safe_dtype<std::int64_t>() {
    return SafeDtype::i64;
}
template <>
constexpr SafeDtype safe_dtype<std::uint64_t>() {
    return SafeDtype::u64;
}

}  // namespace nascent
