// Packs of pictures of one size, copied into memory.
#include <cstring>
#include <filesystem>

#include "engine/base/error.h"
#include "nas/data/pack.h"
#include "nas/data/readers.h"

namespace nascent {
namespace {
Pictures unpacked(const Pack& pack, const std::string& like, int& height, int& width, const DatasetOptions& options) {
    if (height == 0) height = pack.entry(0).height, width = pack.entry(0).width;
    const int size = options.size;
    NASCENT_CHECK(size == 0 || (size == height && size == width), usage,
                  "{}: pictures are {}x{}, size {} cannot be had; pack them at that size", pack.path(), width, height,
                  size);
    Pictures out{height, width, {}, {}};
    reserve_pixels(out, pack.count(), pack.path());
    Bytes buffer;
    for (std::size_t i = 0; i < pack.count(); i++) {
        options.poll();
        const PackEntry& e = pack.entry(i);
        NASCENT_CHECK(e.height == height && e.width == width, data,
                      "{}: '{}' has {}x{} pixels, expected {}x{} like the first of {}; pack squares", pack.path(),
                      e.name, e.width, e.height, width, height, like);
        std::memcpy(&out.pixels[i * out.picture_bytes()], pack.picture(i, buffer).pixels, out.picture_bytes());
        out.labels.push_back(e.label);
    }
    return out;
}
}  // namespace

PackedSplits open_packs(const std::string& path, int classes, bool needs_test) {
    std::error_code ignored;
    const auto file = [&](const char* name) { return path + "/" + name + ".pack"; };
    const std::string test_path = std::filesystem::exists(file("test"), ignored) ? file("test") : file("val");
    const bool has_test = needs_test || std::filesystem::exists(test_path, ignored);
    std::shared_ptr<const Pack> train = Pack::open(file("train")), test = has_test ? Pack::open(test_path) : nullptr;
    if (test) check_same_classes(train->class_names(), train->path(), test->class_names(), test->path());
    const auto found = static_cast<int>(train->class_names().size());
    NASCENT_CHECK(classes == 0 || classes == found, data, "{}: {} classes, expected {}", train->path(), found, classes);
    return {std::move(train), std::move(test)};
}

Dataset read_packs(const std::string& path, const DatasetOptions& options) {
    const auto [train, test] = open_packs(path, options.classes);
    Dataset set;
    set.class_names = train->class_names();
    set.classes = static_cast<int>(set.class_names.size());
    int height = 0, width = 0;
    set.train = unpacked(*train, train->path(), height, width, options);
    set.test = unpacked(*test, train->path(), height, width, options);
    set.skipped = train->skipped().size() + test->skipped().size();
    return set;
}

}  // namespace nascent
