#include "nas/data/pack_write.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/base/thread_pool.h"
#include "engine/io/atomic_file.h"
#include "engine/io/crc32.h"
#include "nas/data/file.h"
#include "nas/data/pack_layout.h"

namespace nascent {
namespace {
using namespace pack_layout;
constexpr std::size_t max_file = std::size_t{256} << 20;
constexpr std::size_t chunk = 64;  // pictures decoded before they are written

template <class T>
void put(std::string& to, T value) {
    for (std::size_t i = 0; i < sizeof(T); i++) to += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
}

struct Made {
    Picture picture;
    PackEntry entry;
    bool corrupt = false;
};

Picture resized(Picture picture, const PackSettings& s) {
    if (s.geometry == PackGeometry::original) return picture;
    if (s.geometry == PackGeometry::square) return square_resized(picture, s.side);
    const int shorter = std::min(picture.height, picture.width);
    if (shorter <= s.side) return picture;
    const auto scaled = [&](int side) {
        return side == shorter ? s.side : static_cast<int>(std::int64_t{s.side} * side / shorter);
    };
    Picture out{scaled(picture.height), scaled(picture.width), {}};
    out.pixels.resize(static_cast<std::size_t>(out.height) * static_cast<std::size_t>(out.width) * 3);
    Resampler().resize(view_of(picture), out.height, out.width, s.resize, out.pixels.data());
    return out;
}

Made make(const ClassFolders& folders, std::size_t i, const PackOptions& options) {
    Made made;
    const std::string path = folders.path(i);
    PackEntry& e = made.entry;
    e.name = folders.files[i];
    e.label = folders.labels[i];
    const FileStat found = file_stat(path);
    const Bytes bytes = read_bytes(path, max_file);
    NASCENT_CHECK(bytes.size() == found.bytes, data, "{}: changes while it is read", path);
    e.source_bytes = found.bytes;
    e.source_time = found.time;
    e.source_crc32 = crc32(std::as_bytes(std::span(bytes)));
    try {
        DecodedRegion decoded;
        decode_region(
            bytes, path, {.orientation = options.settings.orientation, .least_side = 0},
            [](int h, int w) {
                return Region{0, 0, h, w};
            },
            decoded);
        NASCENT_CHECK(std::max(decoded.picture.height, decoded.picture.width) <= most_side, data,
                      "{}: {}x{} pixels, a pack holds at most {} a side", path, decoded.picture.width,
                      decoded.picture.height, most_side);
        made.picture = resized(std::move(decoded.picture), options.settings);
    } catch (const Error& error) {
        if (!options.skip_corrupt || error.kind() != ErrorKind::data) throw;
        made.corrupt = true;
        return made;
    }
    e.height = made.picture.height, e.width = made.picture.width;
    e.crc32 = crc32(std::as_bytes(std::span(made.picture.pixels)));
    return made;
}

std::string tables_of(const ClassFolders& folders, const PackSettings& s, const std::vector<PackEntry>& entries,
                      const std::vector<std::string>& skipped) {
    std::string out;
    for (std::uint32_t v :
         {static_cast<std::uint32_t>(s.geometry), static_cast<std::uint32_t>(s.side),
          static_cast<std::uint32_t>(s.resize), static_cast<std::uint32_t>(s.orientation),
          static_cast<std::uint32_t>(folders.class_names.size()), static_cast<std::uint32_t>(skipped.size())}) {
        put(out, v);
    }
    put(out, std::uint64_t{entries.size()});
    for (const auto* names : {&folders.class_names, &skipped}) {
        for (const std::string& name : *names) {
            put(out, static_cast<std::uint32_t>(name.size()));
            out += name;
        }
    }
    for (const PackEntry& e : entries) {
        put(out, e.offset);
        for (int v : {e.height, e.width, e.label}) put(out, static_cast<std::uint32_t>(v));
        put(out, e.crc32);
        put(out, e.source_bytes);
        put(out, e.source_time);
        put(out, e.source_crc32);
        put(out, static_cast<std::uint32_t>(e.name.size()));
    }
    for (const PackEntry& e : entries) out += e.name;
    return out;
}

void check_settings(const PackSettings& s) {
    const bool sized = s.geometry != PackGeometry::original;
    NASCENT_CHECK(sized ? s.side >= 1 && s.side <= 8192 : s.side == 0, usage, "a pack of side {}, expected {}", s.side,
                  sized ? "1..8192" : "0: pictures stay as they are");
}

void pad_to_border(AtomicFile& file) {
    static constexpr std::array<char, border> zeros{};
    file.write(std::string_view(zeros.data(), static_cast<std::size_t>(at_border(file.size()) - file.size())));
}
}  // namespace

void write_pack(const ClassFolders& folders, const std::string& path, const PackOptions& options) {
    check_settings(options.settings);
    AtomicFile file(path);
    std::string head(head_magic);
    put(head, version);
    file.write(head);
    pad_to_border(file);
    std::vector<PackEntry> entries;
    std::vector<std::string> skipped;
    ThreadPool pool(options.threads);
    const std::size_t total = folders.files.size();
    std::vector<Made> made(chunk);
    for (std::size_t first = 0; first < total; first += chunk) {
        const std::size_t n = std::min(chunk, total - first);
        // The error of the first bad picture is the one reported, whichever thread met it.
        std::vector<std::exception_ptr> errors(n);
        pool.parallel(static_cast<int>(n), [&](int i, int) {
            const auto k = static_cast<std::size_t>(i);
            try {
                made[k] = make(folders, first + k, options);
            } catch (...) {
                errors[k] = std::current_exception();
            }
        });
        for (std::size_t k = 0; k < n; k++) {
            if (errors[k]) std::rethrow_exception(errors[k]);
            if (made[k].corrupt) {
                skipped.push_back(folders.files[first + k]);
                continue;
            }
            made[k].entry.offset = file.size();
            file.write(std::as_bytes(std::span(made[k].picture.pixels)));
            pad_to_border(file);
            entries.push_back(made[k].entry);
        }
        if (options.progress) options.progress(first + n, total);
    }
    NASCENT_CHECK(!entries.empty(), data, "{}: every picture is corrupt", folders.root);
    const std::uint64_t at = file.size();
    const std::string tables = tables_of(folders, options.settings, entries, skipped);
    std::string tail;
    put(tail, at);
    put(tail, std::uint64_t{tables.size()});
    put(tail, at + tables.size() + tail_bytes);
    put(tail, crc32(tables));
    put(tail, crc32(tail));
    tail += tail_magic;
    file.write(tables);
    file.write(tail);
    file.commit();
}

namespace {
PackSplit pack_split(const std::string& split, const ClassFolders& folders, const std::string& out,
                     const PackOptions& options) {
    PackSplit result{split, out + "/" + split + ".pack", 0, 0, {}, false};
    std::shared_ptr<const Pack> pack;
    try {
        pack = Pack::open(result.path);
        pack->check_sources(folders);
        pack->verify();
        result.kept = pack->settings() == options.settings && (options.skip_corrupt || pack->skipped().empty());
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::data) throw;
    }
    if (!result.kept) {
        write_pack(folders, result.path, options);
        pack = Pack::open(result.path);
    }
    result.pictures = pack->count();
    result.skipped = pack->skipped();
    for (std::size_t i = 0; i < pack->count(); i++) result.bytes += pack->entry(i).bytes();
    return result;
}
}  // namespace

std::vector<PackSplit> pack_data_set(const std::string& root, const std::string& out, const PackOptions& options) {
    check_settings(options.settings);
    const SplitFolders splits = split_folders(root);
    const ClassFolders train = list_class_folders(splits.train);
    ClassFolders test;
    if (!splits.test.empty()) {
        test = list_class_folders(splits.test);
        check_same_classes(train.class_names, train.root, test.class_names, test.root);
    }
    std::error_code error;
    for (const char* name : {"val.pack", "test.pack"}) {
        const std::string stale = out + "/" + name;
        const bool made_anew = !splits.test.empty() && name == std::string_view("val.pack");
        NASCENT_CHECK(made_anew || !std::filesystem::exists(stale, error), data,
                      "{}: is no pack of {}{}, and pack:{} would take it with the new ones; remove it, or give another "
                      "--out",
                      stale, root, splits.test.empty() ? ", which has neither test/ nor val/" : "", out);
    }
    std::filesystem::create_directories(out, error);
    NASCENT_CHECK(!error, runtime, "{}: {}", out, error.message());
    std::vector<PackSplit> made{pack_split("train", train, out, options)};
    if (!splits.test.empty()) made.push_back(pack_split("val", test, out, options));
    return made;
}

}  // namespace nascent
