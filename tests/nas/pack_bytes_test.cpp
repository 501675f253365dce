// Packs that are cut, damaged or lie.
#include <algorithm>
#include <memory>

#include "engine/io/crc32.h"
#include "nas/data/pack.h"
#include "tests/nas/pack_files.h"

using namespace nascent;
using namespace nascent::testing;
using test::read_text;

namespace {
std::uint64_t number_at(const std::string& bytes, std::size_t at, std::size_t count) {
    std::uint64_t v = 0;
    for (std::size_t i = count; i-- > 0;) v = v << 8 | static_cast<std::uint8_t>(bytes[at + i]);
    return v;
}

void set_number(std::string& bytes, std::size_t at, std::uint64_t value, std::size_t count) {
    for (std::size_t i = 0; i < count; i++) bytes[at + i] = static_cast<char>(value >> (8 * i));
}

/// Makes the checksums of tables and tail right again.
void seal(std::string& pack) {
    const std::size_t tail = pack.size() - 40;
    const auto tables = static_cast<std::size_t>(number_at(pack, tail, 8));
    if (tables <= tail) set_number(pack, tail + 24, crc32(std::string_view(pack).substr(tables, tail - tables)), 4);
    set_number(pack, tail + 28, crc32(std::string_view(pack).substr(tail, 28)), 4);
}

/// parse_pack on a heap block of just that size, so that a sanitizer sees over-reading; a file is refused alike.
std::string refusal(const std::string& bytes) {
    std::unique_ptr<std::uint8_t[]> block(new std::uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), block.get());
    const std::string why = error_of(ErrorKind::data, [&] { parse_pack({block.get(), bytes.size()}, "x.pack"); });
    static const TemporaryFolder folder;
    write_file(folder / "x.pack", bytes);
    const std::string of_file = error_of(ErrorKind::data, [&] { Pack::open(folder / "x.pack"); });
    CHECK(of_file == (bytes.empty() ? folder / "x.pack: not a pack: empty" : why.empty() ? "" : folder / why));
    return why;
}
}  // namespace

TEST_CASE("pack: cut at any byte, with any byte of its tables changed, with more at its end") {
    TemporaryFolder folder;
    write_pictures(folder);
    const std::string path = folder / "a.pack";
    write_pack(list_class_folders(folder / "set/train"), path, settings(PackGeometry::square, 2));
    const std::string good = read_text(path);
    REQUIRE(refusal(good) == "");
    for (std::size_t size = 0; size < good.size(); size++) {
        CHECK_MESSAGE(contains(refusal(good.substr(0, size)), "x.pack: "), "cut at " << size);
    }
    CHECK(contains(refusal(good + "x"), "x.pack: cut short"));
    const auto tables = static_cast<std::size_t>(number_at(good, good.size() - 40, 8));
    for (std::size_t i = tables; i < good.size(); i++) {
        std::string bad = good;
        bad[i] ^= 0x10;
        CHECK_MESSAGE(contains(refusal(bad), "x.pack: "), "byte " << i);
    }
    CHECK(contains(refusal("PK" + good.substr(2)), "not a pack"));
    std::string newer = good;
    newer[8] = 2;
    CHECK(contains(refusal(newer), "version 2, expected 1"));
    TemporaryFolder empty;
    CHECK(contains(error_of(ErrorKind::data, [&] { Pack::open(empty / "none.pack"); }), "No such file"));
    CHECK(contains(error_of(ErrorKind::data, [&] { Pack::open(empty.path()); }), "not a regular file"));
    write_file(empty / "0.pack", "");
    CHECK(contains(error_of(ErrorKind::data, [&] { Pack::open(empty / "0.pack"); }), "empty"));
}

TEST_CASE("pack: tables that lie with right checksums are refused") {
    TemporaryFolder folder;
    write_pictures(folder);
    const std::string path = folder / "a.pack";
    write_pack(list_class_folders(folder / "set/train"), path, settings(PackGeometry::square, 2));
    const std::string good = read_text(path);
    const auto tables = static_cast<std::size_t>(number_at(good, good.size() - 40, 8));
    const std::size_t index = tables + 32 + 2 * 7;
    const auto lie = [&](std::size_t at, std::uint64_t value, std::size_t count) {
        std::string bad = good;
        set_number(bad, at, value, count);
        seal(bad);
        return refusal(bad);
    };
    CHECK(lie(tables + 4, 2, 4) == "");  // what is there: side 2
    CHECK(contains(lie(tables, 3, 4), "geometry 3"));
    CHECK(contains(lie(tables, 2, 4), "geometry 2, side 2"));
    CHECK(contains(lie(tables + 8, 2, 4), "resizing 2"));
    CHECK(contains(lie(tables + 12, 2, 4), "orientation 2"));
    CHECK(contains(lie(tables + 16, 0, 4), "0 classes"));
    CHECK(contains(lie(tables + 16, 0xFFFFFFFF, 4), "4294967295 classes"));
    CHECK(contains(lie(tables + 16, 3, 4), "class name"));
    CHECK(contains(lie(tables + 20, 0xFFFFFFFF, 4), "4294967295 skipped"));
    CHECK(contains(lie(tables + 24, 0, 8), "0 pictures"));
    CHECK(contains(lie(tables + 24, ~std::uint64_t{0}, 8), "pictures"));
    CHECK(lie(tables + 24, 6, 8) != "");
    CHECK(lie(tables + 24, 4, 8) != "");
    CHECK(contains(lie(tables + 32, 0xFFFFFFF0, 4), "class name of 4294967280 bytes"));
    CHECK(contains(lie(tables + 36, '/', 1), "class name '/nt'"));
    CHECK(contains(lie(tables + 36, 'z', 1), "in order"));
    CHECK(contains(lie(index, 0, 8), "lies at 0"));
    CHECK(contains(lie(index, 65, 8), "lies at 65"));
    CHECK(contains(lie(index + 48, 64, 8), "lies at 64, expected 128"));
    CHECK(contains(lie(index, ~std::uint64_t{63}, 8), "expected 64"));
    CHECK(contains(lie(index + 8, 0, 4), "picture 0 of 2x0"));
    CHECK(contains(lie(index + 8, 65535, 4), "all before the tables"));
    CHECK(contains(lie(index + 8, 65536, 4), "picture 0 of 2x65536"));
    CHECK(contains(lie(index + 16, 2, 4), "with label 2"));
    CHECK(contains(lie(index + 16, 1, 4), "'ant/1.jpg' has label 1"));
    CHECK(contains(lie(index + 44, 0xFFFFFFFF, 4), "name of 4294967295 bytes"));
    CHECK(lie(index + 44, 8, 4) != "");
    CHECK(contains(lie(good.size() - 41, '/', 1), "is not the name of a file"));
    CHECK(contains(lie(good.size() - 40, tables + 64, 8), "expected them to end at"));
    CHECK(contains(lie(good.size() - 40, ~std::uint64_t{0}, 8), "expected them to end at"));
    CHECK(contains(lie(good.size() - 24, good.size() + 1, 8), "expected"));
    std::string longer = good.substr(0, good.size() - 40) + "x" + good.substr(good.size() - 40);
    set_number(longer, longer.size() - 32, number_at(good, good.size() - 32, 8) + 1, 8);
    set_number(longer, longer.size() - 24, longer.size(), 8);
    seal(longer);
    CHECK(contains(refusal(longer), "1 bytes too many"));
}
