#include "nas/algo/common_options.h"

#include <fmt/chrono.h>

#include <ctime>
#include <filesystem>

#include "engine/base/error.h"
#include "nas/data/picture_set.h"
#include "nas/run/interrupt.h"
#include "ops/kernel_stream.h"

namespace nascent {
namespace {
constexpr int many = 1'000'000'000;
namespace fs = std::filesystem;
}  // namespace

void add_picture_options(OptionTable& t, PictureOptions& o) {
    t.add("data.source", "--data", o.source,
          "pictures to train on: synthetic, folder:DIR, pack:DIR, cifar10:DIR, cifar100:DIR or imagenet16:DIR");
    t.add("data.size", "--size", o.size, 0, 4096, "side of the pictures, 0 for the data set's own");
    t.add("data.classes", "--classes", o.classes, 0, 1'000'000, "number of classes, 0 for the data set's own");
    t.add("data.norm", "--norm", o.norm,
          {"auto", "cifar10", "cifar10-darts", "cifar100", "cifar100-drnas", "imagenet16", "imagenet", "half"},
          "mean and deviation of the channels: published ones, 0.5 and 0.5, or auto for the data set's");
    t.add("data.skip_corrupt", "--skip-corrupt", o.skip_corrupt, "leave pictures out that cannot be decoded");
    t.add("data.synthetic_train", "--synthetic-train", o.synthetic_train, 1, many,
          "training pictures of --data synthetic");
    t.add("data.synthetic_test", "--synthetic-test", o.synthetic_test, 1, many, "test pictures of --data synthetic");
}

void add_pipeline_option(OptionTable& t, PictureOptions& o) {
    std::vector<std::string> names{"none"};
    names.insert(names.end(), picture_pipeline_names().begin(), picture_pipeline_names().end());
    t.add(
        "data.pipeline", "--pipeline", o.pipeline, names,
        "pictures of a folder or a pack are read when they are needed, cut at random, resized to --size and varied as "
        "a published program does; or none: held in memory, cropped with a border of 4");
}

void check_pipeline_option(const PictureOptions& o) {
    const std::string& pipeline = o.pipeline;
    if (pipeline == "none") return;
    NASCENT_CHECK(is_picture_set(o.source), usage,
                  "data.pipeline = {} reads folder:DIR or pack:DIR, data.source is {}; give --pipeline none", pipeline,
                  o.source);
    const PicturePipeline p = at_size(picture_pipeline(pipeline), o.size);
    check_pipeline(p);
    NASCENT_CHECK(o.norm == "auto" || p.format.scale == PixelFormat::Scale::normalised, usage,
                  "data.norm = {}: the pipeline {} does not normalise; give --norm auto", o.norm, pipeline);
}

void add_process_options(OptionTable& t, ProcessOptions& o, const std::string& program) {
    t.add("run.out", "--out", o.out, fmt::format("folder of the run, made anew; empty: runs/{}-DATE-TIME", program));
    t.add("run.seed", "--seed", o.seed, 0, "seed of everything that is drawn");
    t.add("run.threads", "--threads", o.threads, 0, 4096, "threads that compute, 0 for all; no effect on the result");
    t.add("run.device", "--device", o.device, {"cpu", "gpu"}, "where to compute");
    t.add("run.checkpoint_seconds", "--checkpoint-seconds", o.checkpoint_seconds, 1, many, "time between checkpoints");
    t.add("run.checkpoint_steps", "--checkpoint-steps", o.checkpoint_steps, 0, many,
          "steps (in an evolution, generations) between checkpoints beside those by time, 0 for none");
    t.add("run.loader_workers", "--loader-workers", o.loader_workers, 0, 1024,
          "threads that prepare pictures, 0: the one that trains; no effect on the result");
    t.add("run.progress_seconds", "--progress-seconds", o.progress_seconds, 1, many,
          "time between progress lines where the output is no terminal");
}

void add_precision_option(OptionTable& t, std::string& precision) {
    t.add(
        "train.precision", "--precision", precision, {"float32", "tf32", "bf16"},
        "on the gpu: float32 as it is, or products of factors rounded to tf32 on tensor cores, added up in float32; or "
        "activations and their gradients stored as bf16 and multiplied so. Weights and statistics are float32");
}

void check_precision(const std::string& precision, const std::string& dtype, const ProcessOptions& o,
                     const std::string& network) {
    if (precision == "float32") return;
    NASCENT_CHECK(o.device == "gpu", usage, "train.precision = {} is of the gpu, run.device = {}", precision, o.device);
    NASCENT_CHECK(dtype == "float32", usage, "train.precision = {} is of train.dtype = float32, it is {}", precision,
                  dtype);
    NASCENT_CHECK(precision != "bf16" || network.empty(), usage,
                  "train.precision = bf16 is not of {} yet: give --precision tf32", network);
}

std::unique_ptr<Device> run_device(const ProcessOptions& o, const std::string& precision) {
    check_precision(precision, "float32", o, "");
    std::unique_ptr<Device> device = make_device(o.device, o.threads);
    if (precision == "tf32") device->kernel_options.precision = Precision::tf32;
    if (precision == "bf16") device->kernel_options.precision = Precision::bf16;
    return device;
}

const std::vector<std::string>& resumable_keys() {
    static const std::vector<std::string> keys{"run.device",           "run.threads",        "run.checkpoint_seconds",
                                               "run.checkpoint_steps", "run.loader_workers", "run.progress_seconds"};
    return keys;
}

void check_source(const PictureOptions& o) {
    NASCENT_CHECK(!o.source.empty(), usage, "no data: give {}",
                  o.pipeline == "none" ? "--data synthetic, or --data cifar10:DIR and the like"
                                       : "--data folder:DIR, with a folder of pictures for each class in DIR/train, or "
                                         "--data pack:DIR");
}

std::string absolute_path(const std::string& path) {
    return path.empty() ? path : fs::absolute(path).lexically_normal().string();
}

void make_absolute(PictureOptions& pictures, ProcessOptions& process, const std::string& program) {
    if (process.out.empty())
        process.out = fmt::format("runs/{}-{:%Y%m%d-%H%M%S}", program, fmt::localtime(std::time(nullptr)));
    std::string& source = pictures.source;
    const std::size_t colon = source.find(':');
    if (colon != std::string::npos && colon + 1 < source.size())
        source = source.substr(0, colon + 1) + absolute_path(source.substr(colon + 1));
    process.out = absolute_path(process.out);
}

Dataset load_pictures(const PictureOptions& pictures, const ProcessOptions& process) {
    Scope scope("--data {}", pictures.source);
    DatasetOptions o;
    o.size = pictures.size;
    o.classes = pictures.classes;
    o.skip_corrupt = pictures.skip_corrupt;
    o.threads = process.threads;
    o.train_count = static_cast<std::size_t>(pictures.synthetic_train);
    o.test_count = static_cast<std::size_t>(pictures.synthetic_test);
    o.seed = static_cast<std::uint64_t>(process.seed);
    o.poll = [] { stop_if_requested("pictures were loaded, before anything was computed"); };
    return load_dataset(pictures.source, o);
}

int square_side(const Dataset& set) {
    NASCENT_CHECK(set.train.height == set.train.width, data, "the pictures are {} x {}, expected squares: give --size",
                  set.train.width, set.train.height);
    return set.train.height;
}

std::string describe(const Dataset& set, const std::string& used, const std::string& normalisation) {
    return fmt::format("{}: {} of {} training pictures {}x{}, {} classes, normalised as {}", set.name, used,
                       set.train.count(), set.train.height, set.train.width, set.classes, normalisation);
}

std::string target_of(Device& device) {
    if (device.kind() == DeviceKind::cpu) return fmt::format("cpu ({})", kernel_target());
    constexpr const char* precisions[] = {"", ", tf32", ", bf16"};
    return device.name() + precisions[static_cast<std::size_t>(device.kernel_options.precision)];
}

void check_pictures(const Dataset& set, std::size_t now, std::size_t before) {
    NASCENT_CHECK(now == before, data, "{}: there are {} training pictures, there were {} when the run was stopped",
                  set.name, now, before);
}

}  // namespace nascent
