// Whose pictures a search's batches hold, and what becomes of them, where they are read as they are needed.
#include "nas/algo/search_pictures.h"

#include <doctest/doctest.h>

#include <array>

#include "engine/autograd/execution.h"
#include "nas/data/picture_loader.h"
#include "ops/constants.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

constexpr int side = 20;

void write_folders(const TemporaryFolder& folder) {
    for (auto [split, count] : {std::pair{"train", 6}, {"val", 4}})
        for (int i = 0; i < 2 * count; i++) {
            const int height = 20 + i * 3 % 17, width = 18 + i * 5 % 23;
            write_file(folder / (std::string(split) + (i < count ? "/a/" : "/b/") + std::to_string(i)),
                       jpeg(width, height, JCS_RGB, 3, noise(height, width, static_cast<std::uint32_t>(i + count))));
        }
}

}  // namespace

TEST_CASE("a search's batches are the pipeline's: training and alphas' crops, validation as asked") {
    TemporaryFolder folder;
    write_folders(folder);
    SearchConfig c = preset("pcdarts/imagenet");
    c.data.source = "folder:" + folder.path();
    c.data.size = side;
    c.train.batch = 5;
    c.train.dtype = "float64";
    c.run.loader_workers = 0;
    c.run.seed = 77;
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    for (const bool augment : {true, false}) {
        c.valid.augment = augment;
        check(c);
        Pictured pictures(c);
        CHECK(square_side(pictures.set) == side);
        CHECK(pictures.set.classes == 2);
        CHECK(pictures.set.train.pixels.empty());
        REQUIRE(pictures.halves.held_out);
        CHECK(pictures.halves.train.size() == 12);
        CHECK(pictures.halves.valid.size() == 8);
        // The same by hand: the specification's transform.
        PictureLoaderOptions o;
        TrainTransform& t = o.pipeline.train;
        t.size = side;
        t.crop = CropRule::torchvision;
        t.least_area = 0.08, t.most_area = 1, t.least_ratio = 3.0 / 4, t.most_ratio = 4.0 / 3;
        t.resize = Resampling::pillow;
        t.jitter = {};
        t.lighting = 0, t.flip = 0.5;
        o.pipeline.evaluation = {23, side, Resampling::pillow, false};  // 256 / 224 of the side, rounded
        o.pipeline.format = {false, PixelFormat::Scale::normalised, {"", {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}}};
        o.batch_size = 5;
        o.workers = 0;
        struct Expected {
            BatchSource source;
            const char* split;
            std::uint64_t salt;
            bool train;
            std::int64_t steps;
            // Which of the loader's batches go with steps 0, 1, 2, 3, 7: the alphas', of which a shuffle has two, begin
            // anew with each of the weights' epochs of three steps.
            std::array<std::uint64_t, 5> places = {0, 1, 2, 3, 7};
        };
        for (const Expected& e : {Expected{pictures.train(c), "train", 0, true, 3},
                                  {pictures.alpha(c), "val", alpha_seed, true, 2, {0, 1, 2, 4, 9}},
                                  {pictures.valid(c), "val", valid_seed, augment, 2}}) {
            CAPTURE(e.salt);
            o.seed = 77 ^ e.salt;
            o.train = e.train;
            PictureLoader<double> by_hand(folder_source(list_class_folders(folder / e.split)), {}, o);
            REQUIRE(e.source.steps_per_epoch == e.steps);
            Batch<double> want;
            const std::int64_t steps[] = {0, 1, 2, 3, 7};
            for (std::size_t i = 0; i < e.places.size(); i++) {
                by_hand.batch(e.places[i], want);
                const LabelledBatch got = e.source.batch(steps[i]);
                CHECK(numbers_of(got.x) == std::vector<double>(want.pixels.begin(), want.pixels.end()));
                std::vector<std::int32_t> labels(got.labels.size());
                got.labels.device->copy_out(labels.data(), got.labels.data, got.labels.bytes());
                CHECK(labels == std::vector<std::int32_t>(want.labels.begin(), want.labels.end()));
            }
            CHECK(e.source.wait_seconds() > 0);
        }
        CHECK(pictures.corrupt().empty());
    }
}

TEST_CASE("the alphas' iterator begins anew with each epoch of the weights and where it ends") {
    auto batches = [](std::int64_t steps, std::int64_t own) {  // (shuffle, batch in it) of two epochs
        std::vector<std::pair<std::int64_t, std::int64_t>> all;
        for (std::int64_t s = 0; s < 2 * steps; s++)
            all.emplace_back(iterator_step(s, steps, own) / own, iterator_step(s, steps, own) % own);
        return all;
    };
    using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;
    CHECK(batches(2, 5) == Pairs{{0, 0}, {0, 1}, {1, 0}, {1, 1}});
    CHECK(batches(3, 3) == Pairs{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}});
    CHECK(batches(4, 3) == Pairs{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {2, 0}, {2, 1}, {2, 2}, {3, 0}});
}

TEST_CASE("corrupt pictures of both halves are named, once each") {
    TemporaryFolder folder;
    write_folders(folder);
    for (const char* name : {"train/a/3", "val/b/5"}) write_file(folder / name, "rubbish");
    SearchConfig c = preset("drnas/imagenet");
    c.data.source = "folder:" + folder.path();
    c.data.size = side;
    c.data.skip_corrupt = true;
    c.train.batch = 12;
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    Pictured pictures(c);
    const BatchSource all[] = {pictures.train(c), pictures.alpha(c), pictures.valid(c)};
    for (const BatchSource& source : all)
        for (std::int64_t step = 0; step < 2; step++) (void)source.batch(step);
    CHECK(pictures.corrupt() == std::vector<std::string>{"train/a/3", "val/b/5"});
}

TEST_CASE("a pipeline at another size keeps its share of the shorter side") {
    for (std::string_view name : picture_pipeline_names()) {
        CAPTURE(name);
        const PicturePipeline p = picture_pipeline(std::string(name));
        CHECK(at_size(p, 0).train.size == 224);
        for (auto [size, resize] : {std::pair{224, 256}, {112, 128}, {64, 73}, {1, 1}, {3584, 4096}}) {
            const PicturePipeline q = at_size(p, size);
            check_pipeline(q);
            CHECK(q.train.size == size);
            CHECK(q.evaluation.crop == size);
            CHECK(q.evaluation.resize == resize);
        }
    }
}
