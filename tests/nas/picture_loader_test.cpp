// Batches of pictures of any size: functions of the step alone, from files and from packs.
#include "nas/data/picture_loader.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "nas/data/colour.h"
#include "nas/data/pack_write.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
/// 3 classes of 7 pictures of various sizes.
ClassFolders write_pictures(const TemporaryFolder& folder) {
    for (int i = 0; i < 21; i++) {
        const int height = 20 + i * 3 % 17, width = 18 + i * 5 % 23;
        const std::string path =
            folder / ("train/" + std::string(1, static_cast<char>('a' + i / 7)) + "/" + std::to_string(i % 7));
        const Pixels p = noise(height, width, static_cast<std::uint32_t>(i));
        write_file(path,
                   i % 4 == 3 ? png(width, height, 8, PNG_COLOR_TYPE_RGB, p) : jpeg(width, height, JCS_RGB, 3, p));
    }
    return list_class_folders(folder / "train");
}

PictureLoaderOptions small_options(const std::string& pipeline, int workers, int batch = 4) {
    PictureLoaderOptions o;
    o.pipeline = picture_pipeline(pipeline);
    o.pipeline.train.size = 12;
    o.pipeline.evaluation.resize = 14, o.pipeline.evaluation.crop = 11;
    o.seed = 5;
    o.workers = workers;
    o.batch_size = batch;
    return o;
}

template <class T>
bool same(const Batch<T>& a, const Batch<T>& b) {
    return a.n == b.n && a.labels == b.labels && a.pixels == b.pixels;
}

Picture file_of(const std::string& path) {
    const Bytes bytes = read_bytes(path, 1 << 20);
    return decode_picture(bytes, path);
}

/// What the loader should make of a whole picture, step by step.
template <class T>
std::vector<T> by_hand(const Picture& p, const PicturePipeline& pipe, const PictureDraws& draws) {
    const TrainTransform& t = pipe.train;
    const Region crop = draws.crop(t, p.height, p.width);
    Picture cut{crop.height, crop.width, Pixels(static_cast<std::size_t>(crop.height * crop.width * 3))};
    for (int y = 0; y < crop.height; y++) {
        for (int x = 0; x < crop.width; x++) {
            const int from_y = crop.top + y, from_x = crop.left + x;
            if (from_y < 0 || from_x < 0 || from_y >= p.height || from_x >= p.width) continue;
            for (int c = 0; c < 3; c++) {
                cut.pixels[static_cast<std::size_t>((y * crop.width + x) * 3 + c)] =
                    p.pixels[static_cast<std::size_t>((from_y * p.width + from_x) * 3 + c)];
            }
        }
    }
    const auto size = static_cast<std::size_t>(t.size);
    Pixels small(size * size * 3);
    Resampler().resize(view_of(cut), t.size, t.size, t.resize, small.data());
    vary_colours(t, draws, small);
    std::vector<T> out(small.size());
    for (std::size_t y = 0; y < size; y++) {
        for (std::size_t x = 0; x < size; x++) {
            for (std::size_t c = 0; c < 3; c++) {
                const std::size_t from_x = draws.flip(t.flip) ? size - 1 - x : x, channel = pipe.format.bgr ? 2 - c : c;
                const double v = small[(y * size + from_x) * 3 + channel];
                double value = v;
                if (pipe.format.scale == PixelFormat::Scale::unit) value = v / 255;
                if (pipe.format.scale == PixelFormat::Scale::normalised) {
                    value = (v / 255 - pipe.format.norm.mean[channel]) / pipe.format.norm.std[channel];
                }
                out[(y * size + x) * 3 + c] = static_cast<T>(value);
            }
        }
    }
    return out;
}
}  // namespace

TEST_CASE("picture loader: an epoch visits every picture once, made as the pipeline says") {
    TemporaryFolder folder;
    const ClassFolders folders = write_pictures(folder);
    for (const char* name : {"spos", "mmrazor-shufflenet", "anglenas", "rlnas", "imagenet", "darts-imagenet"}) {
        PictureLoaderOptions options = small_options(name, 2);
        if (std::string(name) == "rlnas") options.pipeline.train.least_area = 0.9;  // pads most of these
        PictureLoader<double> loader(folder_source(folders), {}, options);
        CHECK(loader.steps_per_epoch() == 6);
        CHECK(loader.batch_count(5) == 1);
        CHECK(loader.size() == 12);
        Batch<double> batch;
        for (std::uint64_t epoch = 0; epoch < 2; epoch++) {
            std::multiset<int> labels;
            std::set<std::uint32_t> met;
            for (std::uint64_t step = epoch * 6; step < epoch * 6 + 6; step++) {
                loader.batch(step, batch);
                REQUIRE(batch.n == loader.batch_count(step));
                for (int i = 0; i < batch.n; i++) {
                    labels.insert(batch.labels[static_cast<std::size_t>(i)]);
                    const double* got = &batch.pixels[static_cast<std::size_t>(i) * 432];
                    for (std::uint32_t id = 0; id < 21; id++) {
                        const auto expected =
                            by_hand<double>(file_of(folders.path(id)), options.pipeline, {5, epoch, id});
                        if (!std::equal(expected.begin(), expected.end(), got)) continue;
                        CHECK(met.insert(id).second);
                        CHECK(batch.labels[static_cast<std::size_t>(i)] == folders.labels[id]);
                    }
                }
            }
            CHECK(met.size() == 21);
            CHECK(labels.count(1) == 7);
        }
    }
}

TEST_CASE("picture loader: the same bits for any number of workers, from any step, and from a pack of the originals") {
    TemporaryFolder folder;
    const ClassFolders folders = write_pictures(folder);
    PackOptions pack_options;
    pack_options.settings.geometry = PackGeometry::original;
    pack_options.settings.side = 0;
    write_pack(folders, folder / "a.pack", pack_options);
    const std::shared_ptr<const PictureSource> files = folder_source(folders),
                                               pack = pack_source(Pack::open(folder / "a.pack"));
    CHECK(files->name(8) == pack->name(8));
    for (const BatchOrder order :
         {BatchOrder::epochs, BatchOrder::replacement, BatchOrder::in_order, BatchOrder::first_of_shuffle}) {
        PictureLoaderOptions options = small_options("darts-imagenet", 0, 5);
        options.order = order;
        PictureLoader<float> reference(files, {}, options);
        std::vector<Batch<float>> expected(12);
        for (std::size_t s = 0; s < expected.size(); s++) reference.batch(s, expected[s]);
        CHECK_FALSE(same(expected[0], expected[1]));
        CHECK_FALSE(same(expected[0], expected[5]));
        for (int workers : {1, 3}) {
            for (const auto& source : {files, pack}) {
                options.workers = workers;
                options.ahead = workers;
                PictureLoader<float> loader(source, {}, options);
                Batch<float> batch;
                for (std::size_t s : {0, 1, 2, 3, 9, 10, 4, 5, 6, 11, 0}) {
                    loader.batch(s, batch);
                    CHECK(same(batch, expected[s]));
                }
                CHECK(loader.wait_seconds() > 0);
            }
        }
    }
}

TEST_CASE("picture loader: crops that reach outside keep their place when the decoder halves the picture") {
    TemporaryFolder folder;
    Pixels ramp_across;
    for (int i = 0; i < 400 * 100; i++)
        ramp_across.insert(ramp_across.end(), 3, static_cast<std::uint8_t>(20 + 2 * (i % 100)));
    const std::string file = jpeg(100, 400, JCS_RGB, 3, ramp_across);
    for (int i = 0; i < 20; i++)
        write_file(folder / ("train/" + std::string(i % 2 ? "a/" : "b/") + std::to_string(i)), file);
    const ClassFolders folders = list_class_folders(folder / "train");
    PictureLoaderOptions options = small_options("rlnas", 0, 20);
    options.order = BatchOrder::in_order;
    options.pipeline.train.lighting = 0;
    options.pipeline.train.flip = 0;
    options.pipeline.train.least_area = 1;  // side 200, twice the width: halved three times, 100 / 8 >= 12
    options.pipeline.format.scale = PixelFormat::Scale::bytes;
    for (const int least_side : {0, 12}) {
        PictureLoader<float> loader(folder_source(folders, {.orientation = false, .least_side = least_side}), {},
                                    options);
        Batch<float> batch;
        loader.batch(0, batch);
        int inside = 0;
        for (std::uint32_t id = 0; id < 20; id++) {
            const Region crop = PictureDraws(5, 0, id).crop(options.pipeline.train, 400, 100);
            REQUIRE(crop.width == 200);
            for (int x = 0; x < 12; x++) {
                const double at = (x + 0.5) * 200 / 12 - 0.5 + crop.left;  // the column of the picture
                const float got = batch.pixels[id * 432 + static_cast<std::size_t>((6 * 12 + x) * 3)];
                if (at < -8 || at > 107) CHECK(got == 0);
                if (at < 8 || at > 91) continue;
                inside++;
                // The mean of a ramp is the ramp, and so is what is between two means. JPEG's error is at most 5
                // (data_folder_test), weights and results are rounded.
                CHECK(std::abs(got - (20 + 2 * at)) < 7);
            }
        }
        CHECK(inside > 60);
    }
}

TEST_CASE("picture loader: evaluation is the resized centre, in order, with true labels") {
    TemporaryFolder folder;
    const ClassFolders folders = write_pictures(folder);
    for (const char* name : {"spos", "imagenet"}) {
        PictureLoaderOptions options = small_options(name, 2);
        options.train = false;
        options.order = BatchOrder::in_order;
        PictureLoader<float> loader(folder_source(folders), {20, 3, 7, 8, 1}, options);
        CHECK(loader.size() == 11);
        Batch<float> batch;
        loader.batch(0, batch);
        REQUIRE(batch.n == 4);
        CHECK(batch.labels == std::vector<int>{2, 0, 1, 1});
        const auto table = pixel_table<float>(options.pipeline.format);
        for (std::size_t i = 0; i < 4; i++) {
            const Picture p = file_of(folders.path(std::vector<std::size_t>{20, 3, 7, 8}[i]));
            const EvaluationCrop c = evaluation_crop(options.pipeline.evaluation, p.height, p.width);
            Pixels whole(static_cast<std::size_t>(c.height * c.width * 3));
            Resampler().resize(view_of(p), c.height, c.width, options.pipeline.evaluation.convention, whole.data());
            bool equal = true;
            for (int y = 0; y < 11; y++) {
                for (int x = 0; x < 11; x++) {
                    for (int k = 0; k < 3; k++) {
                        const int channel = options.pipeline.format.bgr ? 2 - k : k;
                        const auto at = ((c.window.top + y) * c.width + c.window.left + x) * 3 + channel;
                        equal &= batch.pixels[i * 363 + static_cast<std::size_t>((y * 11 + x) * 3 + k)] ==
                                 table[whole[static_cast<std::size_t>(at)]][static_cast<std::size_t>(k)];
                    }
                }
            }
            CHECK(equal);
        }
        loader.batch(1, batch);
        CHECK(batch.n == 1);
        CHECK(batch.labels == std::vector<int>{0});
    }
}

TEST_CASE("picture loader: corrupt pictures are named, or replaced by the next and listed") {
    TemporaryFolder folder;
    const ClassFolders folders = write_pictures(folder);
    write_file(folders.path(3), "rubbish");
    write_file(folders.path(4), "rubbish");
    write_file(folders.path(20), "");
    PictureLoaderOptions options = small_options("spos", 2, 21);
    options.order = BatchOrder::in_order;
    options.train = false;
    Batch<float> batch;
    {
        PictureLoader<float> loader(folder_source(folders), {}, options);
        for (int again = 0; again < 2; again++) {  // the first in the batch, whichever worker met one
            CHECK(contains(error_of(ErrorKind::data, [&] { loader.batch(0, batch); }),
                           "train/a/3: neither JPEG nor PNG"));
        }
    }
    options.skip_corrupt = true;
    for (int workers : {0, 3}) {
        options.workers = workers;
        PictureLoader<float> loader(folder_source(folders), {}, options);
        loader.batch(0, batch);
        CHECK(loader.corrupt() == std::vector<std::string>{"a/3", "a/4", "c/6"});
        const auto picture = [&](std::size_t i) { return &batch.pixels[i * 363]; };
        CHECK(std::equal(picture(3), picture(3) + 363, picture(5)));
        CHECK(std::equal(picture(4), picture(4) + 363, picture(5)));
        CHECK(std::equal(picture(20), picture(20) + 363, picture(0)));
        CHECK(batch.labels[20] == 0);
    }
    for (std::size_t i = 0; i < 21; i++) write_file(folders.path(i), "rubbish");
    PictureLoader<float> loader(folder_source(folders), {}, options);
    CHECK(contains(error_of(ErrorKind::data, [&] { loader.batch(0, batch); }), "all 21 pictures are corrupt"));
}

TEST_CASE("picture loader: labels and options") {
    TemporaryFolder folder;
    const ClassFolders folders = write_pictures(folder);
    PictureLoaderOptions options = small_options("imagenet", 1, 21);
    options.labels = LabelPolicy::fixed;
    for (int i = 0; i < 21; i++) options.fixed_labels.push_back(i % 3);
    options.order = BatchOrder::in_order;
    Batch<float> batch;
    PictureLoader<float>(folder_source(folders), {}, options).batch(0, batch);
    CHECK(batch.labels == options.fixed_labels);
    const auto refused = [&](auto change, std::vector<std::uint32_t> ids = {}) {
        PictureLoaderOptions o = small_options("imagenet", 1);
        change(o);
        return error_of(ErrorKind::usage, [&] { PictureLoader<float>(folder_source(folders), ids, o); });
    };
    CHECK(contains(refused([](auto& o) { o.batch_size = 0; }), "batch size 0"));
    CHECK(contains(refused([](auto& o) { o.workers = -1; }), "loader threads"));
    CHECK(contains(refused([](auto& o) { o.ahead = 0; }), "batches ahead"));
    CHECK(contains(refused([](auto& o) { o.pipeline.train.size = -1; }), "pictures of -1x-1"));
    CHECK(contains(refused([](auto& o) { o.fixed_labels = {1}; }), "fixed labels"));
    CHECK(contains(refused([](auto&) {}, {21}), "picture 21 is asked for"));
}
