// CIFAR's binary layout, from folders and archives the test writes.
#include <archive.h>
#include <archive_entry.h>

#include <map>

#include "nas/data/dataset.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
using Files = std::map<std::string, std::string>;

/// Byte i of picture `id` as it lies in the record.
char stored(int id, int i) { return static_cast<char>((id * 37 + i * 7 + i / 1024 * 11) & 255); }

/// Two records a batch: picture id has label id % classes.
std::string batch(int first, int count, int classes) {
    std::string out;
    for (int id = first; id < first + count; id++) {
        if (classes == 100) out += static_cast<char>(19);  // the coarse label
        out += static_cast<char>(id % classes);
        for (int i = 0; i < 3072; i++) out += stored(id, i);
    }
    return out;
}

Files cifar10() {
    Files files;
    for (int b = 0; b < 5; b++) files["data_batch_" + std::to_string(b + 1) + ".bin"] = batch(2 * b, 2, 10);
    files["test_batch.bin"] = batch(10, 3, 10);
    files["batches.meta.txt"] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n";
    return files;
}

Files cifar100() { return {{"train.bin", batch(95, 4, 100)}, {"test.bin", batch(99, 1, 100)}}; }

void write_folder(const std::string& folder, const Files& files) {
    for (const auto& [name, bytes] : files) write_file(folder + "/" + name, bytes);
}

void write_archive(const std::string& path, const std::string& folder, const Files& files) {
    archive* a = archive_write_new();
    archive_write_add_filter_gzip(a);
    archive_write_set_format_ustar(a);
    REQUIRE(archive_write_open_filename(a, path.c_str()) == ARCHIVE_OK);
    for (auto it = files.rbegin(); it != files.rend(); ++it) {  // the order in the archive must not matter
        archive_entry* entry = archive_entry_new();
        archive_entry_set_pathname(entry, (folder + it->first).c_str());
        archive_entry_set_size(entry, static_cast<la_int64_t>(it->second.size()));
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        REQUIRE(archive_write_header(a, entry) == ARCHIVE_OK);
        REQUIRE(archive_write_data(a, it->second.data(), it->second.size()) ==
                static_cast<la_ssize_t>(it->second.size()));
        archive_entry_free(entry);
    }
    archive_write_close(a);
    archive_write_free(a);
}

void check_pictures(const Pictures& pictures, int first, int count, int classes) {
    REQUIRE(pictures.count() == static_cast<std::size_t>(count));
    REQUIRE(pictures.pixels.size() == static_cast<std::size_t>(count) * 3072);
    CHECK(pictures.height == 32);
    CHECK(pictures.width == 32);
    for (int n = 0; n < count; n++) {
        CHECK(pictures.labels[static_cast<std::size_t>(n)] == (first + n) % classes);
        const std::uint8_t* p = pictures.picture(static_cast<std::size_t>(n));
        int wrong = 0;
        for (int i = 0; i < 1024; i++) {
            for (int c = 0; c < 3; c++)
                wrong += p[i * 3 + c] != static_cast<std::uint8_t>(stored(first + n, c * 1024 + i));
        }
        CHECK(wrong == 0);
    }
}

void check_cifar10(const Dataset& set) {
    CHECK(set.name == "cifar10");
    CHECK(set.classes == 10);
    CHECK(set.class_names == std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
    check_pictures(set.train, 0, 10, 10);
    check_pictures(set.test, 10, 3, 10);
}

std::string data_error(const std::string& spec) {
    return error_of(ErrorKind::data, [&] { load_dataset(spec); });
}
}  // namespace

TEST_CASE("data: CIFAR-10 from its folder, the folder above and the archive") {
    TemporaryFolder folder;
    write_folder(folder / "up/cifar-10-batches-bin", cifar10());
    check_cifar10(load_dataset("cifar10:" + folder / "up"));
    check_cifar10(load_dataset("cifar10:" + folder / "up/cifar-10-batches-bin"));
    write_archive(folder / "c.tar.gz", "cifar-10-batches-bin/", cifar10());
    check_cifar10(load_dataset("cifar10:" + folder / "c.tar.gz"));
}

TEST_CASE("data: CIFAR-100 takes the fine label") {
    TemporaryFolder folder;
    write_folder(folder.path(), cifar100());
    write_archive(folder / "c.tar.gz", "cifar-100-binary/", cifar100());
    for (const std::string& path : {folder.path(), folder / "c.tar.gz"}) {
        const Dataset set = load_dataset("cifar100:" + path);
        CHECK(set.classes == 100);
        CHECK(set.class_names.size() == 100);
        check_pictures(set.train, 95, 4, 100);
        check_pictures(set.test, 99, 1, 100);
    }
}

TEST_CASE("data: a CIFAR file of a wrong length or label is named with the byte") {
    TemporaryFolder folder;
    const auto with = [&](const std::string& name, const std::string& bytes) {
        Files files = cifar10();
        files[name] = bytes;
        write_folder(folder.path(), files);
        write_archive(folder / "c.tar.gz", "", files);
        const std::string message = data_error("cifar10:" + folder.path());
        const std::string packed = data_error("cifar10:" + folder / "c.tar.gz");
        CHECK(contains(message, name));
        CHECK(contains(packed, "c.tar.gz:" + name));
        return message;
    };
    const std::string good = batch(4, 2, 10);
    CHECK(contains(with("data_batch_3.bin", good.substr(0, 6000)), "byte 3073: the last record has 2927 bytes"));
    CHECK(contains(with("data_batch_3.bin", good + "x"), "byte 6146: the last record has 1 bytes"));
    CHECK(contains(with("data_batch_3.bin", ""), "expected whole records of 3073"));
    // Cut at a record's border, which no multiple tells: the batches must be of one size.
    CHECK(contains(with("data_batch_3.bin", good.substr(0, 3073)), "file of 3073 bytes, expected 6146"));
    std::string bad = good;
    bad[3073] = 10;
    CHECK(contains(with("data_batch_3.bin", bad), "byte 3073: label 10, expected 0..9"));
    CHECK(contains(with("batches.meta.txt", "a\nb\n"), "2 names, expected 10"));
}

TEST_CASE("data: missing CIFAR files and damaged archives") {
    TemporaryFolder folder;
    CHECK(contains(data_error("cifar10:" + folder / "none"), "does not exist"));
    Files files = cifar10();
    files.erase("data_batch_4.bin");
    write_folder(folder / "f", files);
    write_archive(folder / "c.tar.gz", "", files);
    CHECK(contains(data_error("cifar10:" + folder / "f"), "data_batch_4.bin: missing"));
    CHECK(contains(data_error("cifar10:" + folder / "c.tar.gz"), "has no entry data_batch_4.bin"));
    write_file(folder / "text.tar.gz", "this is no archive");
    CHECK(contains(data_error("cifar10:" + folder / "text.tar.gz"), "text.tar.gz"));

    // Cut anywhere, the archive is an error and never half a data set. Cutting gzip's last 8 bytes (CRC and length)
    // and tar's zero blocks loses no picture, so cuts stop before the last record's bytes.
    write_archive(folder / "whole.tar.gz", "", cifar10());
    std::ifstream in(folder / "whole.tar.gz", std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), {});
    for (std::size_t size = 0; size < whole.size() * 9 / 10; size += 1 + whole.size() / 150) {
        write_file(folder / "cut.tar.gz", whole.substr(0, size));
        CHECK_MESSAGE(!data_error("cifar10:" + folder / "cut.tar.gz").empty(), "cut at " << size);
    }
}

TEST_CASE("data: specs that cannot be meant") {
    const auto usage = [](const std::string& spec, DatasetOptions options = {}) {
        return error_of(ErrorKind::usage, [&] { load_dataset(spec, options); });
    };
    CHECK(contains(usage("cifar:x"), "did you mean 'cifar10'"));
    CHECK(contains(usage("imagenet:x"), "did you mean 'imagenet16'"));
    CHECK(contains(usage("cifar10"), "expected 'cifar10:DIR'"));
    CHECK(contains(usage("synthetic:x"), "takes no folder"));
    DatasetOptions options;
    options.size = 16;
    CHECK(contains(usage("cifar10:x", options), "size 16 cannot be had"));
    options = {};
    options.classes = 7;
    CHECK(contains(usage("cifar100:x", options), "100 classes, not 7"));
}
