// Packs: what is written is read, what is damaged or made of other pictures is refused.
#include "nas/data/pack.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "engine/io/crc32.h"
#include "nas/data/dataset.h"
#include "nas/data/pack_write.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
/// Two classes with five pictures of several kinds and sizes.
void write_pictures(const TemporaryFolder& folder, const std::string& split = "train") {
    const auto at = [&](const std::string& name) { return folder / ("set/" + split + "/" + name); };
    write_file(at("ant/1.jpg"), jpeg(40, 30, JCS_RGB, 3, ramp(40, 30)));
    write_file(at("ant/2.JPEG"), png(31, 50, 8, PNG_COLOR_TYPE_RGB, noise(50, 31, 2)));
    write_file(at("bee/1.jpg"), jpeg(9, 9, JCS_GRAYSCALE, 1, Pixels(81, 60)));
    write_file(at("bee/2.jpg"),
               jpeg(64, 24, JCS_RGB, 3, noise(24, 64, 3), JCS_UNKNOWN, true, {0, 0, 90, exif_segment(6)}));
    write_file(at("bee/3.png"), png(20, 20, 8, PNG_COLOR_TYPE_RGB, noise(20, 20, 4)));
}

PackOptions settings(PackGeometry geometry, int side, int threads = 1) {
    PackOptions options;
    options.settings.geometry = geometry;
    options.settings.side = side;
    options.threads = threads;
    return options;
}

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

Pixels pixels_of(const PictureView& view) {
    REQUIRE(view.stride == static_cast<std::size_t>(view.width) * 3);
    return {view.pixels, view.pixels + static_cast<std::size_t>(view.height) * view.stride};
}

Picture decoded_file(const std::string& path) {
    const std::string bytes = read_text(path);
    return decode_picture({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, path);
}

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

/// parse_pack on a heap block of just that size, so that a sanitizer sees over-reading.
std::string refusal(const std::string& bytes) {
    std::unique_ptr<std::uint8_t[]> block(new std::uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), block.get());
    return error_of(ErrorKind::data, [&] { parse_pack({block.get(), bytes.size()}, "x.pack"); });
}
}  // namespace

TEST_CASE("pack: pictures come back as they were, of every geometry") {
    TemporaryFolder folder;
    write_pictures(folder);
    const ClassFolders folders = list_class_folders(folder / "set/train");
    const std::string path = folder / "a.pack";
    write_pack(folders, path, settings(PackGeometry::original, 0));
    auto pack = Pack::open(path);
    REQUIRE(pack->count() == 5);
    CHECK(pack->class_names() == std::vector<std::string>{"ant", "bee"});
    for (std::size_t i = 0; i < 5; i++) {
        CHECK(pack->name(i) == folders.files[i]);
        CHECK(pack->label(i) == folders.labels[i]);
        const Picture p = decoded_file(folders.path(i));
        const PictureView view = pack->picture(i);
        CHECK(view.height == p.height);
        CHECK(view.width == p.width);
        CHECK(pixels_of(view) == p.pixels);
        CHECK(reinterpret_cast<std::uintptr_t>(view.pixels) % 64 == 0);
    }
    pack->verify();
    pack->check_sources(folders);

    for (const Resampling convention : {Resampling::pillow, Resampling::opencv}) {
        PackOptions options = settings(PackGeometry::shorter_side, 16);
        options.settings.resize = convention;
        write_pack(folders, path, options);
        pack = Pack::open(path);
        CHECK(pack->settings() == options.settings);
        const int sizes[5][2] = {
            {16, 21}, {25, 16}, {9, 9}, {16, 42}, {16, 16}};  // 40 * 16 / 30 = 21.3; 9 x 9 is small
        for (std::size_t i = 0; i < 5; i++) {
            const Picture p = decoded_file(folders.path(i));
            const PictureView view = pack->picture(i);
            CHECK(view.height == sizes[i][0]);
            CHECK(view.width == sizes[i][1]);
            Pixels expected = p.pixels;
            if (i != 2) {
                expected.resize(static_cast<std::size_t>(view.height * view.width * 3));
                Resampler().resize(view_of(p), view.height, view.width, convention, expected.data());
            }
            CHECK(pixels_of(view) == expected);
        }
    }
    PackOptions turned = settings(PackGeometry::original, 0);
    turned.settings.orientation = true;
    write_pack(folders, path, turned);
    pack = Pack::open(path);
    CHECK(pack->entry(3).height == 64);
    CHECK(pack->entry(3).width == 24);
}

TEST_CASE("pack: the file does not depend on the threads, and an equal one is kept") {
    TemporaryFolder folder;
    write_pictures(folder);
    write_pictures(folder, "val");
    for (int i = 0; i < 150; i++) {
        write_file(folder / ("set/train/ant/n" + std::to_string(i) + ".png"),
                   png(8, 8, 8, PNG_COLOR_TYPE_RGB, noise(8, 8, static_cast<std::uint32_t>(i))));
    }
    const ClassFolders folders = list_class_folders(folder / "set/train");
    write_pack(folders, folder / "1.pack", settings(PackGeometry::square, 12, 1));
    write_pack(folders, folder / "3.pack", settings(PackGeometry::square, 12, 3));
    CHECK(read_text(folder / "1.pack") == read_text(folder / "3.pack"));

    PackOptions options = settings(PackGeometry::square, 12);
    std::size_t seen = 0, total = 0;
    options.progress = [&](std::size_t done, std::size_t of) { seen = done, total = of; };
    std::vector<PackSplit> made = pack_data_set(folder / "set", folder / "packs", options);
    REQUIRE(made.size() == 2);
    CHECK(seen == 5);
    CHECK(total == 5);
    CHECK(made[0].path == folder / "packs/train.pack");
    CHECK(made[1].path == folder / "packs/val.pack");
    CHECK(made[0].pictures == 155);
    CHECK(made[0].bytes == 155 * 12 * 12 * 3);
    CHECK_FALSE(made[0].kept);
    CHECK(read_text(made[0].path) == read_text(folder / "1.pack"));
    made = pack_data_set(folder / "set", folder / "packs", options);
    CHECK(made[0].kept);
    CHECK(made[1].kept);
    CHECK(made[1].pictures == 5);
    options.settings.side = 10;
    made = pack_data_set(folder / "set", folder / "packs", options);
    CHECK_FALSE(made[0].kept);
    // The same pictures with the same bits through load_dataset.
    DatasetOptions size;
    size.size = 10;
    const Dataset packed = load_dataset("pack:" + folder / "packs"),
                  read = load_dataset("folder:" + folder / "set", size);
    CHECK(packed.classes == 2);
    CHECK(packed.class_names == read.class_names);
    CHECK(packed.train.pixels == read.train.pixels);
    CHECK(packed.train.labels == read.train.labels);
    CHECK(packed.test.pixels == read.test.pixels);
    CHECK(contains(error_of(ErrorKind::usage,
                            [&] {
                                DatasetOptions other;
                                other.size = 12;
                                load_dataset("pack:" + folder / "packs", other);
                            }),
                   "pictures are 10x10, size 12 cannot be had"));
    pack_data_set(folder / "set", folder / "packs", settings(PackGeometry::shorter_side, 16));
    CHECK(contains(error_of(ErrorKind::data, [&] { load_dataset("pack:" + folder / "packs"); }), "pack squares"));
    CHECK(contains(error_of(ErrorKind::data, [&] { load_dataset("pack:" + folder / "none"); }), "train.pack"));
}

TEST_CASE("pack: one that does not match its pictures is an error that names them") {
    TemporaryFolder folder;
    write_pictures(folder);
    const std::string root = folder / "set/train", path = folder / "a.pack";
    write_pack(list_class_folders(root), path, settings(PackGeometry::square, 8));
    const auto pack = Pack::open(path);
    const auto why = [&] { return error_of(ErrorKind::data, [&] { pack->check_sources(list_class_folders(root)); }); };
    CHECK(why() == "");
    // Another time of the last change, the same bytes: copied.
    const std::string one = root + "/bee/3.png", bytes = read_text(one);
    write_file(one, bytes);
    std::filesystem::last_write_time(one, std::filesystem::last_write_time(one) - std::chrono::hours(100));
    CHECK(why() == "");
    std::string other = bytes;
    other[other.size() / 2] ^= 1;
    write_file(one, other);
    std::filesystem::last_write_time(one, std::filesystem::last_write_time(one) - std::chrono::hours(50));
    CHECK(contains(why(), "a.pack: this pack does not match the pictures in"));
    CHECK(contains(why(), "'bee/3.png' has other bytes than when it was packed"));
    CHECK(contains(why(), "data pack"));
    write_file(one, bytes + "x");
    CHECK(contains(why(), fmt::format("'bee/3.png' had {} bytes and has {}", bytes.size(), bytes.size() + 1)));
    std::filesystem::remove(root + "/ant/1.jpg");
    CHECK(contains(why(), "'ant/1.jpg' is not there any more and 1 more"));
    write_file(root + "/ant/0.jpg", "new");
    CHECK(contains(why(), "'ant/0.jpg' is not in the pack and 2 more"));
    write_file(root + "/wasp/1.jpg", "new");
    CHECK(contains(why(), "and 3 more"));
}

TEST_CASE("pack: corrupt pictures are named, or left out and listed") {
    TemporaryFolder folder;
    write_pictures(folder);
    const std::string root = folder / "set/train", path = folder / "a.pack";
    write_file(root + "/ant/0.jpg", jpeg(40, 30, JCS_RGB, 3, ramp(40, 30)).substr(0, 300));
    write_file(root + "/bee/2.jpg", "rubbish");
    PackOptions options = settings(PackGeometry::square, 8, 3);
    const auto write = [&] { write_pack(list_class_folders(root), path, options); };
    CHECK(contains(error_of(ErrorKind::data, write), "ant/0.jpg: corrupt picture"));
    CHECK_FALSE(std::filesystem::exists(path));
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) CHECK(entry.is_directory());
    options.skip_corrupt = true;
    write();
    const auto pack = Pack::open(path);
    CHECK(pack->count() == 4);
    CHECK(pack->skipped() == std::vector<std::string>{"ant/0.jpg", "bee/2.jpg"});
    pack->check_sources(list_class_folders(root));
    // Asked for without the option, the pack that lacks them is no answer.
    PackOptions strict = settings(PackGeometry::square, 8);
    std::filesystem::create_directories(folder / "out");
    std::filesystem::rename(path, folder / "out/train.pack");
    CHECK(contains(error_of(ErrorKind::data, [&] { pack_data_set(folder / "set", folder / "out", strict); }),
                   "ant/0.jpg"));
    CHECK(pack_data_set(folder / "set", folder / "out", options)[0].kept);
    CHECK(contains(error_of(ErrorKind::usage,
                            [&] { write_pack(list_class_folders(root), path, settings(PackGeometry::original, 5)); }),
                   "side 5"));
    CHECK(contains(error_of(ErrorKind::usage,
                            [&] { write_pack(list_class_folders(root), path, settings(PackGeometry::square, 0)); }),
                   "side 0"));
}

TEST_CASE("pack: a damaged picture is found when it is read, by its name") {
    TemporaryFolder folder;
    write_pictures(folder);
    const std::string path = folder / "a.pack";
    write_pack(list_class_folders(folder / "set/train"), path, settings(PackGeometry::square, 8));
    std::string bytes = read_text(path);
    bytes[64 + 192 + 5] ^= 4;  // the second picture
    write_file(path, bytes);
    const auto pack = Pack::open(path);
    pack->picture(0);
    for (int again = 0; again < 2; again++) {
        CHECK(contains(error_of(ErrorKind::data, [&] { pack->picture(1); }),
                       "byte 256: picture 'ant/2.JPEG' is damaged"));
    }
    CHECK(contains(error_of(ErrorKind::data, [&] { pack->verify(); }), "ant/2.JPEG"));
}

TEST_CASE("pack: one that is cut while it is open is an error and no signal") {
    TemporaryFolder folder;
    write_pictures(folder);
    const std::string path = folder / "a.pack";
    write_pack(list_class_folders(folder / "set/train"), path, settings(PackGeometry::square, 40));
    const auto pack = Pack::open(path);
    pack->verify();
    const auto size = std::filesystem::file_size(path);
    std::filesystem::resize_file(path, 4096);
    for (std::size_t i = 0; i < pack->count(); i++) {
        CHECK(contains(error_of(ErrorKind::data, [&] { pack->picture(i); }),
                       fmt::format("a.pack: was cut to 4096 bytes while it is read, expected {}", size)));
        CHECK(contains(pack->name(i), "/"));  // tables are there still
    }
    CHECK(pack->class_names().size() == 2);
}

TEST_CASE("pack: a validation pack of other pictures is not left beside a new training pack") {
    TemporaryFolder folder;
    write_pictures(folder);
    const std::string set = folder / "set", out = folder / "out";
    std::filesystem::create_directories(out);
    for (const char* stale : {"val.pack", "test.pack"}) {
        const std::string path = out + "/" + stale;
        write_pack(list_class_folders(set + "/train"), path, settings(PackGeometry::square, 8));
        CHECK(contains(error_of(ErrorKind::data, [&] { pack_data_set(set, out, settings(PackGeometry::square, 8)); }),
                       fmt::format("{}: is no pack of {}, which has neither test/ nor val/", path, set)));
        CHECK_FALSE(std::filesystem::exists(out + "/train.pack"));
        std::filesystem::remove(path);
    }
    CHECK(pack_data_set(set, out, settings(PackGeometry::square, 8)).size() == 1);
    // Where there is a val, its pack is made anew, and only a test.pack would be taken in its stead.
    std::filesystem::copy(set + "/train", set + "/val", std::filesystem::copy_options::recursive);
    write_pack(list_class_folders(set + "/train"), out + "/val.pack", settings(PackGeometry::square, 9));
    CHECK(pack_data_set(set, out, settings(PackGeometry::square, 8)).size() == 2);
    std::filesystem::copy(out + "/val.pack", out + "/test.pack");
    CHECK(contains(error_of(ErrorKind::data, [&] { pack_data_set(set, out, settings(PackGeometry::square, 8)); }),
                   "test.pack: is no pack of"));
}

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
