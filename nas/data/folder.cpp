// Class folders of small pictures, decoded into memory.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "engine/base/error.h"
#include "engine/base/thread_pool.h"
#include "nas/data/class_folders.h"
#include "nas/data/file.h"
#include "nas/data/picture.h"
#include "nas/data/readers.h"

namespace nascent {
namespace {
constexpr std::size_t max_file = std::size_t{256} << 20;
constexpr std::size_t chunk_files = 64;

Picture read_picture(const std::string& file, int size) {
    Picture picture = decode_picture(read_bytes(file, max_file), file);
    return size > 0 ? square_resized(picture, size) : picture;
}

class Reader {
  public:
    explicit Reader(const DatasetOptions& options) : options_(options), pool_(options.threads) {}

    Pictures read(const ClassFolders& listing) {
        const std::string& folder = listing.root;
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
                    options_.poll();
                    corrupt[i] = !place(listing.path(i), &out.pixels[i * out.picture_bytes()]);
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
    void find_size(const ClassFolders& listing, const std::string& folder) {
        height_ = width_ = options_.size;
        for (std::size_t i = 0; height_ == 0 && i < listing.files.size(); i++) {
            options_.poll();
            try {
                const Picture first = read_picture(listing.path(i), 0);
                height_ = first.height, width_ = first.width;
                named_ = listing.path(i);
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

    void close_gaps(Pictures& out, const ClassFolders& listing, const std::vector<char>& corrupt) {
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

}  // namespace

Dataset read_folder(const std::string& path, const DatasetOptions& options) {
    const auto [train, test] = list_splits(path, options.classes);
    Dataset set;
    set.class_names = train.class_names;
    set.classes = static_cast<int>(set.class_names.size());
    Reader reader(options);
    set.train = reader.read(train);
    set.test = reader.read(test);
    set.skipped = reader.skipped();
    return set;
}

}  // namespace nascent
