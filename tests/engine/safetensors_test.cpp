#include "engine/io/safetensors.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "engine/base/error.h"
#include "engine/io/crc32.h"
#include "engine/io/json_text.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using test::read_text;
using test::TemporaryFolder;
using test::write_text;

namespace {

SafeTensors parse(const std::string& file) {
    return SafeTensors::parse(std::as_bytes(std::span(file)), "test.safetensors");
}

/// The bytes of a file with this header and payload.
std::string file_of(const std::string& header, const std::string& payload) {
    std::string text(8, '\0');
    const std::uint64_t n = header.size();
    std::memcpy(text.data(), &n, 8);
    return text + header + payload;
}

/// What the reader says about a header in front of 16 bytes, "" if it accepts it.
std::string complaint(const std::string& header) {
    try {
        parse(file_of(header, std::string(16, 'x')));
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::checkpoint);
        return e.what();
    }
    return "";
}

std::string sample_file() {
    const std::array<double, 2> d = {1.5, -2.5};
    const std::array<float, 6> f = {1, 2, 3, 4, 5, 6};
    const std::array<std::uint8_t, 3> u = {7, 8, 9};
    TemporaryFolder folder;
    write_safetensors(folder / "f",
                      {safe_tensor("u", {3}, std::span(u)), safe_tensor("f", {2, 3}, std::span(f)),
                       safe_tensor("d", {2}, std::span(d))},
                      {{"format", "test"}});
    return read_text(folder / "f");
}

}  // namespace

TEST_CASE("safetensors: the file is what the reference implementation writes") {
    const std::array<std::int32_t, 2> b = {1, -1};
    const std::array<float, 1> a = {1.0f}, z = {2.0f};
    const std::array<std::uint64_t, 1> q = {3};
    TemporaryFolder folder;
    const FileStamp stamp =
        write_safetensors(folder / "f.safetensors",
                          {safe_tensor("b", {2}, std::span(b)), safe_tensor("z", {1, 1}, std::span(z)),
                           safe_tensor("q", {}, std::span(q)), safe_tensor("a", {1}, std::span(a)),
                           safe_tensor("none", {0, 4}, std::span<const std::int32_t>())},
                          {{"k", "v\"w"}});
    // Descending alignment, then name; dtype, shape, data_offsets without blanks; padded to a multiple of 8.
    std::string header =
        R"({"__metadata__":{"k":"v\"w"},"q":{"dtype":"U64","shape":[],"data_offsets":[0,8]},)"
        R"("a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"z":{"dtype":"F32","shape":[1,1],"data_offsets":[12,16]},)"
        R"("b":{"dtype":"I32","shape":[2],"data_offsets":[16,24]},"none":{"dtype":"I32","shape":[0,4],"data_offsets":[24,24]}})";
    while (header.size() % 8 != 0) header += ' ';
    const std::string payload("\x03\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\x40\x01\0\0\0\xff\xff\xff\xff", 24);
    const std::string expected = file_of(header, payload);
    CHECK(read_text(folder / "f.safetensors") == expected);
    CHECK(stamp.bytes == expected.size());
    CHECK(stamp.crc32 == crc32(expected));
}

TEST_CASE("safetensors: what was written comes back, whatever the dtype") {
    TemporaryFolder folder;
    const std::array<double, 2> f64 = {std::nan(""), -0.0};
    const std::array<float, 2> f32 = {1e-45f, 3.4e38f};
    const std::array<std::int64_t, 2> i64 = {INT64_MIN, INT64_MAX};
    const std::array<std::uint64_t, 2> u64 = {0, UINT64_MAX};
    const std::array<std::int32_t, 2> i32 = {INT32_MIN, 5};
    const std::array<std::uint32_t, 2> u32 = {1, UINT32_MAX};
    const std::array<std::uint8_t, 2> u8 = {0, 255};
    const FileStamp stamp = write_safetensors(
        folder / "all", {safe_tensor("f64", {2}, std::span(f64)), safe_tensor("f32", {1, 2}, std::span(f32)),
                         safe_tensor("i64", {2, 1}, std::span(i64)), safe_tensor("u64", {2}, std::span(u64)),
                         safe_tensor("i32", {2}, std::span(i32)), safe_tensor("u32", {2}, std::span(u32)),
                         safe_tensor("größe", {2}, std::span(u8))});
    SafeTensors moved = SafeTensors::read(folder / "all");
    const SafeTensors file = std::move(moved);
    CHECK(file.tensors().size() == 7);
    CHECK(file.metadata().empty());
    CHECK(file.stamp().bytes == stamp.bytes);
    CHECK(file.stamp().crc32 == stamp.crc32);
    auto same = [&](const char* name, auto values) {
        auto out = values;
        out.fill(0);
        file.copy(name, std::span(out));
        CHECK_MESSAGE(std::memcmp(out.data(), values.data(), sizeof values) == 0, name);
    };
    same("f64", f64), same("f32", f32), same("i64", i64), same("u64", u64), same("i32", i32), same("u32", u32);
    same("größe", u8);
    const std::array<std::int64_t, 2> shape = {1, 2}, wrong = {2, 1};
    CHECK(file.get("f32", SafeDtype::f32, shape).bytes.size() == 8);
    CHECK(file.find("f16") == nullptr);
    CHECK_THROWS_WITH_AS(file.get("f32", SafeDtype::f64, wrong),
                         doctest::Contains("tensor \"f32\" is F32 [1, 2], expected F64 [2, 1]"), Error);
    CHECK_THROWS_WITH_AS(file.get("w", SafeDtype::f32, shape),
                         doctest::Contains("no tensor \"w\", expected F32 [1, 2]"), Error);
    std::array<float, 3> three{};
    CHECK_THROWS_WITH_AS(file.copy("f32", std::span(three)), doctest::Contains("expected F32 with 3 elements"), Error);
}

TEST_CASE("safetensors: a file that was read is closed, also after an error") {
    TemporaryFolder folder;
    const std::array<float, 2> numbers = {1, 2};
    write_safetensors(folder / "file", {safe_tensor("x", {2}, std::span(numbers))});
    const auto open_files = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                             std::filesystem::directory_iterator());
    };
    const auto before = open_files();
    for (int i = 0; i < 5; i++) {
        { const SafeTensors file = SafeTensors::read(folder / "file"); }
        CHECK(open_files() == before);
    }
    std::filesystem::resize_file(folder / "file", 9);
    CHECK_THROWS_AS(SafeTensors::read(folder / "file"), Error);
    CHECK(open_files() == before);
}

TEST_CASE("safetensors: a writer's mistakes are errors and leave the old file") {
    TemporaryFolder folder;
    const std::array<float, 2> f = {1, 2};
    write_text(folder / "f", "old");
    CHECK_THROWS_WITH_AS(write_safetensors(folder / "f", {safe_tensor("w", {3}, std::span(f))}),
                         doctest::Contains("tensor \"w\" of F32 [3] was given 8 bytes"), Error);
    CHECK_THROWS_AS(
        write_safetensors(folder / "f", {safe_tensor("w", {2}, std::span(f)), safe_tensor("w", {2}, std::span(f))}),
        Error);
    CHECK_THROWS_AS(write_safetensors(folder / "f", {safe_tensor("__metadata__", {2}, std::span(f))}), Error);
    CHECK_THROWS_AS(write_safetensors(folder / "f", {safe_tensor("w", {-1, -2}, std::span(f))}), Error);
    CHECK(read_text(folder / "f") == "old");
}

TEST_CASE("safetensors: headers that lie are refused with the reason") {
    const std::string good =
        R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})";
    CHECK(complaint(good) == "");
    CHECK(complaint(good + "     ") == "");
    struct Case {
        std::string header, reason;
    };
    const Case cases[] = {
        {"", "does not start with '{'"},
        {" " + good, "does not start with '{'"},
        {"[]", "does not start with '{'"},
        {"{", "not valid JSON"},
        {good + "{}", "not valid JSON"},
        {"{}", "16 bytes of tensors, but the header describes 0"},
        {R"({"a":1})", "\"a\": expected an object, found the number 1"},
        {R"({"a":[1]})", "expected an object, found an array"},
        {R"({"a":{"dtype":"F32","shape":[4]}})", "expected dtype, shape and data_offsets"},
        {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16,16]}})", "expected [begin, end]"},
        {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", "expected [begin, end]"},
        {R"({"a":{"dtype":"F31","shape":[4],"data_offsets":[0,16]}})", "dtype \"F31\""},
        {R"({"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})", "F32 [5] does not fill data_offsets [0, 16]"},
        {R"({"a":{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}})", "the number 4.0"},
        {R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})", "the number -4"},
        {R"({"a":{"dtype":"F32","shape":[[4]],"data_offsets":[0,16]}})", "an array"},
        {R"({"a":{"dtype":"F32","shape":4,"data_offsets":[0,16]}})", "\"shape\" with the number 4"},
        {R"({"a":{"dtype":5,"shape":[4],"data_offsets":[0,16]}})", "\"dtype\" with the number 5"},
        {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"more":{}}})", "\"more\" with an object"},
        {R"({"a":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "\"dtype\" comes twice"},
        {R"({"a":{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[0,16]}})", "\"shape\" comes twice"},
        // A hole, an overlap, an end beyond the file, an end before it.
        {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
         "no hole"},
        {R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
         "no overlap"},
        {R"({"a":{"dtype":"U8","shape":[17],"data_offsets":[0,17]}})", "header describes 17"},
        {R"({"a":{"dtype":"U8","shape":[15],"data_offsets":[0,15]}})", "header describes 15"},
        // Two tensors of the same name, which a document tree would hide.
        {R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})",
         "\"a\" comes twice"},
        // Products that wrap around 2^64 to the right size; extents above 2^63; offsets that do not fit 64 bits.
        {R"({"a":{"dtype":"F32","shape":[4611686018427387908],"data_offsets":[0,16]}})", "does not fill"},
        {R"({"a":{"dtype":"U8","shape":[4294967296,4294967296,16],"data_offsets":[0,16]}})", "does not fill"},
        {R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}})",
         "an extent of"},
        {R"({"a":{"dtype":"U8","shape":[16],"data_offsets":[0,18446744073709551632]}})", "the number"},
        {R"({"__metadata__":{"k":1},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
         "metadata key \"k\": expected a string"},
        {R"({"__metadata__":{"k":{}},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
         "expected a string, found an object"},
        {R"({"__metadata__":{"k":"1","k":"1"},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
         "metadata key \"k\" comes twice"},
        {R"({"__metadata__":{},"__metadata__":{},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
         "\"__metadata__\" comes twice"},
        {std::string("{\"\xff\":{}}"), "not valid JSON"},
    };
    for (const Case& c : cases) {
        const std::string said = complaint(c.header);
        CHECK_MESSAGE(said.find(c.reason) != std::string::npos, c.header << " gave: " << said);
        CHECK_MESSAGE((said.empty() || said.find("test.safetensors") != std::string::npos), said);
    }
    // Nesting costs no stack and no memory.
    CHECK(complaint("{\"a\":{\"shape\":" + std::string(1'000'000, '[')) != "");
    std::string objects;
    for (int i = 0; i < 100'000; i++) objects += "{\"a\":";
    CHECK(complaint(objects) != "");
}

TEST_CASE("safetensors: a length that lies allocates nothing") {
    for (std::uint64_t n :
         {std::uint64_t{9}, std::uint64_t{100'000'000}, std::uint64_t{100'000'001}, UINT64_MAX, UINT64_MAX - 7}) {
        std::string file(16, '{');
        std::memcpy(file.data(), &n, 8);
        CHECK_THROWS_AS(parse(file), Error);
        TemporaryFolder folder;
        write_text(folder / "f", file);
        CHECK_THROWS_AS(SafeTensors::read(folder / "f"), Error);
    }
    TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(SafeTensors::read(folder / "absent"), doctest::Contains("cannot open"), Error);
    CHECK_THROWS_WITH_AS(SafeTensors::read(folder.path()), doctest::Contains("not a file"), Error);
}

TEST_CASE("safetensors: a file cut anywhere is refused") {
    const std::string whole = sample_file();
    TemporaryFolder folder;
    for (std::size_t n = 0; n < whole.size(); n++) {
        CHECK_THROWS_AS(parse(whole.substr(0, n)), Error);
        write_text(folder / "cut", whole.substr(0, n));
        CHECK_THROWS_AS(SafeTensors::read(folder / "cut"), Error);
    }
    CHECK_THROWS_AS(parse(whole + "x"), Error);
}

TEST_CASE("safetensors: no flipped bit is missed by the stamp, and what is accepted stays inside the file") {
    const std::string whole = sample_file();
    const FileStamp stamp = parse(whole).stamp();
    int accepted = 0;
    for (std::size_t bit = 0; bit < 8 * whole.size(); bit++) {
        std::string file = whole;
        file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << (bit % 8)));
        try {
            const SafeTensors read = parse(file);
            accepted++;
            CHECK(read.stamp().crc32 != stamp.crc32);
            std::size_t total = 0;
            unsigned sum = 0;
            for (const SafeTensor& t : read.tensors()) {
                total += t.bytes.size();
                for (std::byte b : t.bytes)
                    sum += static_cast<unsigned>(b);  // a sanitizer sees a view that is too long
            }
            CHECK(total == 16 + 24 + 3);
            CHECK(sum > 0);
        } catch (const Error& e) {
            CHECK(e.kind() == ErrorKind::checkpoint);
        }
    }
    CHECK(accepted >= 8 * (16 + 24 + 3));  // flips in the payload at least
}

TEST_CASE("crc32: the check value of the standard, in one piece and in two") {
    CHECK(crc32("123456789") == 0xCBF43926u);
    CHECK(crc32("56789", crc32("1234")) == 0xCBF43926u);
    CHECK(crc32("") == 0);
}

TEST_CASE("json text: quoting, numbers and nesting") {
    CHECK(json_quote("a\"b\\\n\x01") == R"("a\"b\\\n\u0001")");
    CHECK(json_quote("\xff") == "\"\xEF\xBF\xBD\"");
    CHECK(json_number(0.1) == "0.1");
    CHECK(json_number(3) == "3.0");
    CHECK(json_number(1e300) == "1e+300");
    CHECK(json_number(std::nan("")) == "null");
    CHECK(std::stod(json_number(1.0 / 3)) == 1.0 / 3);
    CHECK(JsonObject().text() == "{}");
    CHECK(JsonObject()
              .add("i", 3)
              .add("b", true)
              .add("s", "x")
              .add("v", std::vector<int>{1, 2})
              .add("f", std::vector<double>{0.5})
              .add("o", JsonObject().add("n", std::vector<std::string>{"p"}))
              .text() == R"({"i":3,"b":true,"s":"x","v":[1,2],"f":[0.5],"o":{"n":["p"]}})");
}
