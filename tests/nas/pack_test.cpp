// Packs: what is written is read, what is of other pictures or cut meanwhile is refused.
#include "nas/data/pack.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "nas/data/dataset.h"
#include "tests/nas/pack_files.h"

using namespace nascent;
using namespace nascent::testing;
using test::read_text;

namespace {
Pixels pixels_of(const PictureView& view) {
    REQUIRE(view.stride == static_cast<std::size_t>(view.width) * 3);
    return {view.pixels, view.pixels + static_cast<std::size_t>(view.height) * view.stride};
}

Picture decoded_file(const std::string& path) {
    const std::string bytes = read_text(path);
    return decode_picture({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, path);
}

}  // namespace

TEST_CASE("pack: pictures come back as they were, of every geometry") {
    TemporaryFolder folder;
    write_pictures(folder);
    const ClassFolders folders = list_class_folders(folder / "set/train");
    const std::string path = folder / "a.pack";
    write_pack(folders, path, settings(PackGeometry::original, 0));
    auto pack = Pack::open(path);
    Bytes buffer;
    REQUIRE(pack->count() == 5);
    CHECK(pack->class_names() == std::vector<std::string>{"ant", "bee"});
    for (std::size_t i = 0; i < 5; i++) {
        CHECK(pack->name(i) == folders.files[i]);
        CHECK(pack->label(i) == folders.labels[i]);
        const Picture p = decoded_file(folders.path(i));
        const PictureView view = pack->picture(i, buffer);
        CHECK(view.height == p.height);
        CHECK(view.width == p.width);
        CHECK(pixels_of(view) == p.pixels);
        CHECK(pack->entry(i).offset % 64 == 0);
        // Some rows alone, of a picture that has been read before and of one that has not.
        for (const auto& from : {pack, Pack::open(path)}) {
            const PictureView rows = from->rows(i, 2, 5, buffer);
            CHECK(rows.height == 5);
            const auto begin = p.pixels.begin() + 2 * static_cast<std::ptrdiff_t>(rows.stride);
            CHECK(pixels_of(rows) == Pixels(begin, begin + 5 * static_cast<std::ptrdiff_t>(rows.stride)));
        }
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
            const PictureView view = pack->picture(i, buffer);
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
    Bytes buffer;
    pack->picture(0, buffer);
    for (int again = 0; again < 2; again++) {
        CHECK(contains(error_of(ErrorKind::data, [&] { pack->picture(1, buffer); }),
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
    Bytes buffer;
    CHECK_NOTHROW(pack->rows(0, 0, 33, buffer));  // 64 + 33 * 120 bytes
    for (std::size_t i = 0; i < pack->count(); i++) {
        CHECK(contains(error_of(ErrorKind::data, [&] { pack->picture(i, buffer); }),
                       fmt::format("a.pack: was cut to 4096 bytes while it is read, expected {}", size)));
        CHECK(contains(pack->name(i), "/"));  // tables are there still
    }
    CHECK(pack->class_names().size() == 2);
}

TEST_CASE("pack: one that is cut in the moment in which pixels are read is an error and no signal") {
    TemporaryFolder folder;
    for (int i = 0; i < 3; i++)
        write_file(folder / ("set/a/" + std::to_string(i)),
                   jpeg(700, 700, JCS_RGB, 3, noise(700, 700, static_cast<std::uint32_t>(i))));
    write_pack(list_class_folders(folder / "set"), folder / "whole.pack", settings(PackGeometry::square, 700));
    const std::string path = folder / "a.pack";
    for (int cut = 0; cut < 20; cut++) {
        std::filesystem::copy_file(folder / "whole.pack", path, std::filesystem::copy_options::overwrite_existing);
        const auto pack = Pack::open(path);
        pack->verify();
        std::atomic<int> read{0};
        std::string what;
        std::thread reader([&] {
            Bytes buffer;
            try {
                for (std::size_t i = 0;; i = (i + 1) % 3, read++) pack->picture(i, buffer);
            } catch (const Error& e) {
                if (e.kind() == ErrorKind::data) what = e.what();
            }
        });
        while (read < 1 + cut % 4) std::this_thread::yield();
        std::filesystem::resize_file(path, 100'000);
        reader.join();
        CHECK(contains(what, "a.pack: was cut to 100000 bytes while it is read"));
    }
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
