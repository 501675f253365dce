// Labelled pictures held in memory, and the readers that fill them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace nascent {

/// One split: RGB pictures of one size with their true labels, in the data set's native order.
struct Pictures {
    int height = 0, width = 0;
    std::vector<std::uint8_t> pixels;  // (n, h, w, 3)
    std::vector<int> labels;           // (n), 0 <= label < classes

    std::size_t count() const { return labels.size(); }
    std::size_t picture_bytes() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3; }
    const std::uint8_t* picture(std::size_t i) const { return pixels.data() + i * picture_bytes(); }
};

struct Dataset {
    std::string name;  // cifar10, cifar100, folder, imagenet16, pack, synthetic
    int classes = 0;
    std::vector<std::string> class_names;  // (classes)
    Pictures train, test;
    std::size_t skipped = 0;  // corrupt files left out because of skip_corrupt
};

struct DatasetOptions {
    /// Side of the pictures: folder: crop the centre square and resize to it (0: take them as they are, all must have
    /// one size); synthetic: the side made (0: 32). The other sets have a fixed size, and another value is an error.
    int size = 0;
    /// imagenet16: labels 1..classes are kept (0: 120); synthetic: how many there are (0: 10). Else 0 or the true
    /// count.
    int classes = 0;
    /// folder: leave corrupt files out and count them.
    bool skip_corrupt = false;
    /// Threads that decode (0: all of the machine's). No effect on the result.
    int threads = 0;
    /// synthetic: counts and the seed.
    std::size_t train_count = 10'000, test_count = 2'000;
    std::uint64_t seed = 0;
    /// Called between pictures or files, perhaps by several threads at once; what it throws ends the loading.
    std::function<void()> poll = [] {};
};

/// Reads `synthetic | folder:DIR | pack:DIR | cifar10:DIR | cifar100:DIR | imagenet16:DIR`.
///
/// cifar10, cifar100: the official binary files; DIR is the folder that holds them, its parent, or the .tar.gz.
/// folder: DIR/train and DIR/test (or DIR/val), a folder per class, JPEG and PNG files told apart by content.
/// pack: DIR/train.pack and DIR/test.pack (or DIR/val.pack), made of pictures of one size (nas/data/pack_write.h).
/// imagenet16: the pickles train_data_batch_1..10 and val_data of down-sampled ImageNet at 16x16.
///
/// Throws Error(usage) on a spec or an option that cannot be meant, Error(data) when files are missing or not what
/// they should be.
Dataset load_dataset(const std::string& spec, const DatasetOptions& options = {});

}  // namespace nascent
