// CIFAR-10 and CIFAR-100 in the official binary layout, from a folder or straight out of the .tar.gz.
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>

#include "engine/base/error.h"
#include "nas/data/file.h"
#include "nas/data/readers.h"

namespace nascent {
namespace {
namespace fs = std::filesystem;
constexpr std::size_t area = 32 * 32;
constexpr std::size_t max_file = std::size_t{1} << 30;  // the largest official file has 153,700,000 bytes
constexpr int max_entries = 1000;

struct Layout {
    std::vector<std::string> train, test;  // file names, in order
    std::string names, folder;
    std::size_t label_bytes;
    int classes;
};

Layout layout_of(bool fine) {
    if (fine) return {{"train.bin"}, {"test.bin"}, "fine_label_names.txt", "cifar-100-binary", 2, 100};
    Layout l{{}, {"test_batch.bin"}, "batches.meta.txt", "cifar-10-batches-bin", 1, 10};
    for (int i = 1; i <= 5; i++) l.train.push_back("data_batch_" + std::to_string(i) + ".bin");
    return l;
}

/// Where a file's bytes come from; messages name the folder or "archive.tar.gz:entry".
struct Source {
    std::string place;  // "DIR/" or "FILE.tar.gz:"
    std::map<std::string, Bytes> files;
};

Source from_folder(const std::string& path, const Layout& layout, const DatasetOptions& options) {
    fs::path folder = path;
    if (!fs::exists(folder / layout.test[0]) && fs::is_directory(folder / layout.folder)) folder /= layout.folder;
    Source source{folder.string() + "/", {}};
    for (const auto* list : {&layout.train, &layout.test}) {
        for (const std::string& name : *list) {
            options.poll();
            NASCENT_CHECK(fs::exists(folder / name), data, "{}{}: missing; the binary version of the set is needed",
                          source.place, name);
            source.files[name] = read_bytes(source.place + name, max_file);
        }
    }
    if (fs::exists(folder / layout.names)) source.files[layout.names] = read_bytes(source.place + layout.names, 65536);
    return source;
}

Bytes read_entry(archive* reader, archive_entry* entry, const std::string& what, const DatasetOptions& options) {
    const std::int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : -1;
    NASCENT_CHECK(size >= 0 && static_cast<std::uint64_t>(size) <= max_file, data, "{}: {} bytes, expected at most {}",
                  what, size, max_file);
    // Grown as bytes come, so that a header that lies about its size costs nothing.
    Bytes bytes;
    while (bytes.size() < static_cast<std::size_t>(size)) {
        options.poll();
        const std::size_t at = bytes.size();
        bytes.resize(std::min(static_cast<std::size_t>(size), at + (std::size_t{1} << 20)));
        const la_ssize_t got = archive_read_data(reader, bytes.data() + at, bytes.size() - at);
        const char* why = archive_error_string(reader);
        NASCENT_CHECK(got > 0, data, "{}: byte {}: {}, expected {} bytes", what, at,
                      got < 0 && why ? why : "the entry ends", size);
        bytes.resize(at + static_cast<std::size_t>(got));
    }
    return bytes;
}

Source from_archive(const std::string& path, const Layout& layout, const DatasetOptions& options) {
    std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), &archive_read_free);
    NASCENT_CHECK(reader != nullptr, runtime, "{}: no memory for the archive reader", path);
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_format_tar(reader.get());
    const auto check = [&](int status) {
        const char* why = archive_error_string(reader.get());
        NASCENT_CHECK(status >= ARCHIVE_WARN, data, "{}: byte {}: {} (expected a .tar.gz)", path,
                      archive_filter_bytes(reader.get(), -1), why ? why : "not readable");
    };
    check(archive_read_open_filename(reader.get(), path.c_str(), 1 << 16));
    std::vector<std::string> wanted = layout.train;
    wanted.insert(wanted.end(), layout.test.begin(), layout.test.end());
    wanted.push_back(layout.names);
    Source source{path + ":", {}};
    archive_entry* entry = nullptr;
    for (int n = 0;; n++) {
        const int status = archive_read_next_header(reader.get(), &entry);
        if (status == ARCHIVE_EOF) break;
        check(status);
        options.poll();
        NASCENT_CHECK(n < max_entries, data, "{}: more than {} entries", path, max_entries);
        const char* full = archive_entry_pathname(entry);
        const std::string name = full ? fs::path(full).filename().string() : "";
        if (archive_entry_filetype(entry) != AE_IFREG ||
            std::find(wanted.begin(), wanted.end(), name) == wanted.end()) {
            NASCENT_CHECK(archive_entry_size(entry) <= static_cast<std::int64_t>(max_file), data,
                          "{}:{}: {} bytes, expected at most {}", path, name, archive_entry_size(entry), max_file);
            continue;
        }
        NASCENT_CHECK(!source.files.contains(name), data, "{}: holds {} twice", path, name);
        source.files[name] = read_entry(reader.get(), entry, source.place + name, options);
    }
    for (const auto* list : {&layout.train, &layout.test}) {
        for (const std::string& name : *list) {
            NASCENT_CHECK(source.files.contains(name), data, "{}: has no entry {}", path, name);
        }
    }
    return source;
}

Pictures assemble(Source& source, const std::vector<std::string>& names, const Layout& layout) {
    Pictures out{32, 32, {}, {}};
    const std::size_t record = layout.label_bytes + 3 * area;
    std::size_t count = 0;
    for (const std::string& name : names) {
        const std::size_t size = source.files[name].size();
        NASCENT_CHECK(size > 0 && size % record == 0, data,
                      "{}{}: byte {}: the last record has {} bytes, expected whole records of {} (file of {} bytes)",
                      source.place, name, size / record * record, size % record, record, size);
        const std::size_t first = source.files[names[0]].size();
        NASCENT_CHECK(size == first, data, "{}{}: byte {}: file of {} bytes, expected {} like {}", source.place, name,
                      std::min(size, first), size, first, names[0]);
        count += size / record;
    }
    reserve_pixels(out, count, source.place);
    out.labels.reserve(count);
    for (const std::string& name : names) {
        const Bytes& bytes = source.files[name];
        for (std::size_t at = 0; at < bytes.size(); at += record) {
            const std::size_t where = at + layout.label_bytes - 1;
            NASCENT_CHECK(bytes[where] < layout.classes, data, "{}{}: byte {}: label {}, expected 0..{}", source.place,
                          name, where, bytes[where], layout.classes - 1);
            interleave(&bytes[where + 1], area, &out.pixels[out.labels.size() * 3 * area]);
            out.labels.push_back(bytes[where]);
        }
        source.files[name] = {};
    }
    return out;
}

std::vector<std::string> class_names(Source& source, const Layout& layout) {
    std::vector<std::string> names;
    if (auto found = source.files.find(layout.names); found != source.files.end()) {
        std::istringstream text(std::string(found->second.begin(), found->second.end()));
        for (std::string line; std::getline(text, line);) {
            if (!line.empty() && line.back() == '\r') line.pop_back();
            if (!line.empty()) names.push_back(line);
        }
        NASCENT_CHECK(names.size() == static_cast<std::size_t>(layout.classes), data, "{}{}: {} names, expected {}",
                      source.place, layout.names, names.size(), layout.classes);
    } else if (layout.classes == 10) {
        names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    } else {
        for (int i = 0; i < layout.classes; i++) names.push_back(std::to_string(i));
    }
    return names;
}
}  // namespace

Dataset read_cifar(const std::string& path, bool fine, const DatasetOptions& options) {
    const Layout layout = layout_of(fine);
    NASCENT_CHECK(fs::exists(path), data, "{}: does not exist", path);
    Source source = fs::is_directory(path) ? from_folder(path, layout, options) : from_archive(path, layout, options);
    Dataset set;
    set.classes = layout.classes;
    set.class_names = class_names(source, layout);
    set.train = assemble(source, layout.train, layout);
    set.test = assemble(source, layout.test, layout);
    return set;
}

}  // namespace nascent
