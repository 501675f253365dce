// A folder per class, as torchvision's ImageFolder: classes and files in sorted order.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/base/thread_pool.h"
#include "nas/data/file.h"
#include "nas/data/picture.h"
#include "nas/data/readers.h"

namespace nascent {
namespace {
namespace fs = std::filesystem;
constexpr std::size_t max_file = std::size_t{256} << 20;
constexpr std::size_t chunk_files = 64;

std::vector<std::string> sorted_names(const fs::path& folder, bool folders) {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (name.front() != '.' && entry.is_directory() == folders) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

struct Listing {
    std::vector<std::string> files;
    std::vector<int> labels;
};

Listing list_split(const fs::path& folder, const std::vector<std::string>& classes) {
    Listing listing;
    for (std::size_t c = 0; c < classes.size(); c++) {
        const std::vector<std::string> names = sorted_names(folder / classes[c], false);
        NASCENT_CHECK(!names.empty(), data, "{}: class folder without files", (folder / classes[c]).string());
        for (const std::string& name : names) {
            listing.files.push_back((folder / classes[c] / name).string());
            listing.labels.push_back(static_cast<int>(c));
        }
    }
    return listing;
}

Picture read_picture(const std::string& file, int size) {
    Picture picture = decode_picture(read_bytes(file, max_file), file);
    return size > 0 ? square_resized(picture, size) : picture;
}

class Reader {
  public:
    explicit Reader(const DatasetOptions& options) : options_(options), pool_(options.threads) {}

    Pictures read(const Listing& listing, const std::string& folder) {
        if (height_ == 0) find_size(listing, folder);
        Pictures out{height_, width_, {}, {}};
        const std::size_t count = listing.files.size();
        reserve_pixels(out, count, folder);
        std::vector<char> corrupt(count, 0);
        // The error of the first bad file in order is the one reported, whichever thread met it: chunks after it may be
        // left out, chunks before it may not.
        std::vector<std::exception_ptr> errors((count + chunk_files - 1) / chunk_files);
        std::atomic<std::size_t> first_bad{errors.size()};
        pool_.parallel(static_cast<int>(errors.size()), [&](int chunk, int) {
            const auto k = static_cast<std::size_t>(chunk);
            if (k > first_bad) return;
            try {
                for (std::size_t i = k * chunk_files; i < std::min(count, (k + 1) * chunk_files); i++) {
                    corrupt[i] = !place(listing.files[i], &out.pixels[i * out.picture_bytes()]);
                }
            } catch (...) {
                errors[k] = std::current_exception();
                for (std::size_t seen = first_bad; k < seen && !first_bad.compare_exchange_weak(seen, k);) {
                }
            }
        });
        if (first_bad < errors.size()) std::rethrow_exception(errors[first_bad]);
        close_gaps(out, listing, corrupt);
        NASCENT_CHECK(out.count() > 0, data, "{}: every picture is corrupt", folder);
        return out;
    }
    std::size_t skipped() const { return skipped_; }

  private:
    void find_size(const Listing& listing, const std::string& folder) {
        height_ = width_ = options_.size;
        for (std::size_t i = 0; height_ == 0 && i < listing.files.size(); i++) {
            try {
                const Picture first = read_picture(listing.files[i], 0);
                height_ = first.height, width_ = first.width;
                named_ = listing.files[i];
            } catch (const Error&) {
                if (!options_.skip_corrupt) throw;
            }
        }
        NASCENT_CHECK(height_ > 0, data, "{}: every picture is corrupt", folder);
    }

    /// False when the file is corrupt and may be.
    bool place(const std::string& file, std::uint8_t* to) const {
        Picture picture;
        try {
            picture = read_picture(file, options_.size);
        } catch (const Error&) {
            if (!options_.skip_corrupt) throw;
            return false;
        }
        NASCENT_CHECK(picture.height == height_ && picture.width == width_, data,
                      "{}: {}x{} pixels, expected {}x{} like {}; use --size to crop and resize all to one size", file,
                      picture.width, picture.height, width_, height_, named_);
        std::memcpy(to, picture.pixels.data(), picture.pixels.size());
        return true;
    }

    void close_gaps(Pictures& out, const Listing& listing, const std::vector<char>& corrupt) {
        const std::size_t bytes = out.picture_bytes();
        for (std::size_t i = 0; i < corrupt.size(); i++) {
            if (corrupt[i]) {
                skipped_++;
                continue;
            }
            const std::size_t at = out.labels.size();
            if (at != i) std::memcpy(&out.pixels[at * bytes], &out.pixels[i * bytes], bytes);
            out.labels.push_back(listing.labels[i]);
        }
        out.pixels.resize(out.labels.size() * bytes);
    }

    const DatasetOptions& options_;
    ThreadPool pool_;
    int height_ = 0, width_ = 0;
    std::string named_;  // the file that set the size
    std::size_t skipped_ = 0;
};

void check_same_classes(const std::vector<std::string>& train, const std::vector<std::string>& test,
                        const std::string& train_folder, const std::string& test_folder) {
    for (const auto& [some, other, has, lacks] : {std::tuple(&train, &test, &train_folder, &test_folder),
                                                  std::tuple(&test, &train, &test_folder, &train_folder)}) {
        for (const std::string& name : *some) {
            NASCENT_CHECK(std::binary_search(other->begin(), other->end(), name), data,
                          "{}: no class folder '{}', which {} has; both splits must have the same classes", *lacks,
                          name, *has);
        }
    }
}

Dataset read_checked(const fs::path& root, const DatasetOptions& options) {
    NASCENT_CHECK(fs::is_directory(root), data, "{}: not a folder", root.string());
    const fs::path train = root / "train";
    const fs::path test = fs::is_directory(root / "test") ? root / "test" : root / "val";
    NASCENT_CHECK(fs::is_directory(train), data, "{}: missing; expected a folder per class in it", train.string());
    NASCENT_CHECK(fs::is_directory(test), data, "{}: has neither test/ nor val/", root.string());
    Dataset set;
    set.class_names = sorted_names(train, true);
    set.classes = static_cast<int>(set.class_names.size());
    NASCENT_CHECK(set.classes >= 2, data, "{}: {} class folders, expected at least 2", train.string(), set.classes);
    NASCENT_CHECK(options.classes == 0 || options.classes == set.classes, data, "{}: {} class folders, expected {}",
                  train.string(), set.classes, options.classes);
    check_same_classes(set.class_names, sorted_names(test, true), train.string(), test.string());
    Reader reader(options);
    set.train = reader.read(list_split(train, set.class_names), train.string());
    set.test = reader.read(list_split(test, set.class_names), test.string());
    set.skipped = reader.skipped();
    return set;
}
}  // namespace

Dataset read_folder(const std::string& path, const DatasetOptions& options) {
    try {
        return read_checked(path, options);
    } catch (const fs::filesystem_error& error) {
        fail(ErrorKind::data, "{}", error.what());
    }
}

}  // namespace nascent
