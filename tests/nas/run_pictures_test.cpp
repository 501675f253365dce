// Whose labels a run's batches carry, whether its pictures are in memory or read as they are needed.
#include "nas/algo/run_pictures.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "engine/autograd/execution.h"
#include "nas/algo/rlnas_training.h"
#include "nas/data/labels.h"
#include "nas/data/picture_loader.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

constexpr int side = 12, classes = 7, each = 4;

/// Each picture has one colour of its own, which any crop keeps: 8 times its number.
void write_colours(const TemporaryFolder& folder) {
    for (const char* split : {"train", "val"})
        for (int i = 0; i < classes * each; i++) {
            const Pixels p(24 * 20 * 3, static_cast<std::uint8_t>(8 * i));
            write_file(
                folder / (std::string(split) + "/" + static_cast<char>('a' + i / each) + "/" + std::to_string(10 + i)),
                png(20, 24, 8, PNG_COLOR_TYPE_RGB, p));
        }
}

struct Seen {
    int picture, label;
    auto operator<=>(const Seen&) const = default;
};

std::vector<Seen> seen(const BatchSource& source, std::int64_t step) {
    const LabelledBatch batch = source.batch(step);
    std::vector<double> pixels(batch.x.size());
    batch.x.device->copy_out(pixels.data(), batch.x.data, batch.x.bytes());
    std::vector<std::int32_t> labels(batch.labels.size());
    batch.labels.device->copy_out(labels.data(), batch.labels.data, batch.labels.bytes());
    std::vector<Seen> all;
    const std::size_t values = pixels.size() / labels.size();
    for (std::size_t i = 0; i < labels.size(); i++)  // the pipeline normalises red by these
        all.push_back({static_cast<int>(std::lround((pixels[i * values] * 0.229 + 0.485) * 255 / 8)), labels[i]});
    return all;
}

RlnasConfig config_of(const TemporaryFolder& folder, const std::string& labels) {
    RlnasConfig c;
    c.data.source = "folder:" + folder.path();
    c.data.pipeline = "imagenet";
    c.data.size = side;
    c.data.labels = labels;
    c.data.split = "all";
    c.train.batch = 5;
    c.train.dtype = "float64";
    c.run.seed = 3;
    resolve(c, true);
    return c;
}

std::vector<std::vector<Seen>> epochs_of(const RlnasConfig& c, int epochs) {
    RunPictures pictures(c.data, c.run);
    CHECK(!pictures.in_memory());
    CHECK(pictures.set.train.count() == classes * each);
    const BatchSource source =
        pictures.open(DType::f64, RunPictures::Split::train, {}, loader_options(c, pictures.set));
    REQUIRE(source.steps_per_epoch == 6);
    std::vector<std::vector<Seen>> all;
    for (int e = 0; e < epochs; e++) {
        auto& epoch = all.emplace_back();
        for (std::int64_t s = 0; s < source.steps_per_epoch; s++)
            for (const Seen& one : seen(source, e * source.steps_per_epoch + s)) epoch.push_back(one);
    }
    CHECK(source.wait_seconds() > 0);
    return all;
}

}  // namespace

TEST_CASE("labels of pictures that are read when they are needed: true, drawn once as NumPy does, or at each access") {
    TemporaryFolder folder;
    write_colours(folder);
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const int count = classes * each;
    const auto drawn = random_labels(3, classes, count);
    std::set<Seen> fresh;
    for (const std::string labels : {"true", "fixed-random", "per-access-random"}) {
        CAPTURE(labels);
        for (const auto& epoch : epochs_of(config_of(folder, labels), 3)) {
            std::set<int> pictures;
            for (const Seen& s : epoch) {
                pictures.insert(s.picture);
                REQUIRE((s.picture >= 0 && s.picture < count));
                if (labels == "true") CHECK(s.label == s.picture / each);
                if (labels == "fixed-random") CHECK(s.label == drawn[static_cast<std::size_t>(s.picture)]);
                if (labels == "per-access-random") fresh.insert(s);
            }
            CHECK(pictures.size() == static_cast<std::size_t>(count));
        }
    }
    // Three accesses to each of 28 pictures: of 7 labels they meet 2.6 different ones on average, one if they were
    // kept.
    CHECK(fresh.size() > 56);
    for (const Seen& s : fresh) CHECK((s.label >= 0 && s.label < classes));
}
