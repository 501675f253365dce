#include "nas/data/dataset.h"

#include <unistd.h>

#include <array>
#include <string_view>

#include "engine/base/error.h"
#include "nas/data/file.h"
#include "nas/data/readers.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {
constexpr std::array<std::string_view, 6> kinds = {"synthetic", "folder", "pack", "cifar10", "cifar100", "imagenet16"};

void check_fixed(const DatasetOptions& options, std::string_view kind, int size, int classes) {
    NASCENT_CHECK(options.size == 0 || options.size == size, usage, "{}: pictures are {}x{}, size {} cannot be had",
                  kind, size, size, options.size);
    NASCENT_CHECK(classes == 0 || options.classes == 0 || options.classes == classes, usage,
                  "{}: there are {} classes, not {}", kind, classes, options.classes);
}
}  // namespace

void interleave(const std::uint8_t* planes, std::size_t area, std::uint8_t* rgb) {
    for (std::size_t i = 0; i < area; i++) {
        rgb[3 * i] = planes[i];
        rgb[3 * i + 1] = planes[area + i];
        rgb[3 * i + 2] = planes[2 * area + i];
    }
}

void reserve_pixels(Pictures& pictures, std::size_t count, const std::string& what) {
    const auto memory =
        static_cast<unsigned __int128>(sysconf(_SC_PHYS_PAGES)) * static_cast<unsigned long>(sysconf(_SC_PAGESIZE));
    const unsigned __int128 bytes = static_cast<unsigned __int128>(count) * pictures.picture_bytes();
    NASCENT_CHECK(bytes <= memory, data,
                  "{}: {} pictures of {}x{} do not fit into memory (pictures are held decoded); give a smaller size",
                  what, count, pictures.height, pictures.width);
    pictures.pixels.resize(static_cast<std::size_t>(bytes));
}

Dataset load_dataset(const std::string& spec, const DatasetOptions& options) {
    const std::size_t colon = spec.find(':');
    const std::string kind = spec.substr(0, colon);
    const std::string path = colon == std::string::npos ? "" : spec.substr(colon + 1);
    bool known = false;
    for (std::string_view k : kinds) known |= k == kind;
    NASCENT_CHECK(known, usage, "data set '{}': unknown kind '{}', did you mean '{}'? (known: {})", spec, kind,
                  nearest_name(kind, kinds), join_names(kinds));
    NASCENT_CHECK(options.size >= 0 && options.size <= 8192, usage, "data set '{}': size {} not in 0..8192", spec,
                  options.size);
    NASCENT_CHECK(options.classes >= 0, usage, "data set '{}': classes {} below 0", spec, options.classes);
    if (kind == "synthetic") {
        NASCENT_CHECK(colon == std::string::npos, usage, "data set '{}': synthetic takes no folder", spec);
    } else {
        NASCENT_CHECK(!path.empty(), usage, "data set '{}': expected '{}:DIR'", spec, kind);
    }
    Scope scope("data set {}", spec);
    Dataset set;
    if (kind == "synthetic") {
        set = make_synthetic(options);
    } else if (kind == "folder") {
        set = read_folder(path, options);
    } else if (kind == "pack") {
        set = read_packs(path, options);
    } else if (kind == "cifar10") {
        check_fixed(options, kind, 32, 10);
        set = read_cifar(path, false, options);
    } else if (kind == "cifar100") {
        check_fixed(options, kind, 32, 100);
        set = read_cifar(path, true, options);
    } else {
        check_fixed(options, kind, 16, 0);
        set = read_imagenet16(path, options);
    }
    set.name = kind;
    return set;
}

}  // namespace nascent
