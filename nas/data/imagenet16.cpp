#include <filesystem>

#include "engine/base/error.h"
#include "nas/data/file.h"
#include "nas/data/pickle.h"
#include "nas/data/readers.h"

namespace nascent {
namespace {
constexpr std::size_t max_file = std::size_t{4} << 30;  // a training batch has about 99 MB
constexpr std::size_t area = 16 * 16;

/// Appends the pictures of one file whose label is at most `classes`.
void append_batch(const std::string& file, int classes, Pictures& out) {
    const pickle::Document document(read_bytes(file, max_file), file);
    const pickle::Array data = document.array(document.at(document.root(), "data"));
    const std::vector<std::int64_t> labels = document.integers(document.at(document.root(), "labels"));
    const bool shaped = data.type == 'u' && data.item_bytes == 1 && data.shape.size() == 2 && data.shape[1] == 3 * area;
    NASCENT_CHECK(shaped, data, "{}: 'data' is not an array (N, {}) of uint8", file, 3 * area);
    const std::size_t n = data.shape[0];
    NASCENT_CHECK(labels.size() == n, data, "{}: {} labels for {} pictures", file, labels.size(), n);
    std::uint8_t planes[3 * area];
    for (std::size_t i = 0; i < n; i++) {
        NASCENT_CHECK(labels[i] >= 1 && labels[i] <= 1000, data, "{}: label {} of picture {}, expected 1..1000", file,
                      labels[i], i);
        if (labels[i] > classes) continue;
        for (std::size_t j = 0; j < 3 * area; j++) {
            planes[j] = static_cast<std::uint8_t>(data.data[data.column_major ? j * n + i : i * 3 * area + j]);
        }
        const std::size_t at = out.pixels.size();
        out.pixels.resize(at + 3 * area);
        interleave(planes, area, &out.pixels[at]);
        out.labels.push_back(static_cast<int>(labels[i]) - 1);
    }
}
}  // namespace

Dataset read_imagenet16(const std::string& path, const DatasetOptions& options) {
    const int classes = options.classes == 0 ? 120 : options.classes;
    NASCENT_CHECK(classes >= 2 && classes <= 1000, usage,
                  "imagenet16: {} classes, expected 2..1000 (as a rule 120, 150, "
                  "200 or 1000)",
                  classes);
    Dataset set;
    set.classes = classes;
    for (int i = 1; i <= classes; i++) set.class_names.push_back(std::to_string(i));
    set.train.height = set.train.width = set.test.height = set.test.width = 16;
    for (int i = 1; i <= 10; i++) {
        options.poll();
        append_batch((std::filesystem::path(path) / ("train_data_batch_" + std::to_string(i))).string(), classes,
                     set.train);
    }
    append_batch((std::filesystem::path(path) / "val_data").string(), classes, set.test);
    NASCENT_CHECK(set.train.count() > 0 && set.test.count() > 0, data, "{}: no picture with a label of at most {}",
                  path, classes);
    return set;
}

}  // namespace nascent
