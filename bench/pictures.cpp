// Batches of training pictures, for bench/compare_pictures.py: one line of JSON.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "bench/core_seconds.h"
#include "engine/io/json_text.h"
#include "nas/data/pack_write.h"
#include "nas/data/picture_loader.h"
#include "nas/run/program.h"

using namespace nascent;

namespace {
std::shared_ptr<const PictureSource> open_source(const std::string& data, const DecodeOptions& options) {
    if (data.ends_with(".pack")) return pack_source(Pack::open(data));
    return folder_source(list_class_folders(data), options);
}
}  // namespace

static int run(int argc, char** argv) {
    std::string data, pack, pipeline = "spos";
    int batch = 64, workers = 1, epochs = 3, least_side = 0;
    CLI::App app("Prepares training batches of a folder of class folders or a pack");
    app.add_option("data", data, "folder of class folders, or a .pack")->required();
    app.add_option("--pipeline", pipeline, "by name");
    app.add_option("--batch", batch, "pictures in a batch");
    app.add_option("--workers", workers, "threads");
    app.add_option("--epochs", epochs, "epochs timed, after one that is not");
    app.add_option("--least-side", least_side, "halve JPEGs in the decoder while crops keep this side; 0: never");
    app.add_option("--pack", pack, "only write this pack of the folder's pictures, shorter side 256");
    CLI11_PARSE(app, argc, argv);
    if (!pack.empty()) {
        write_pack(list_class_folders(data), pack, {});
        std::puts("{}");
        return 0;
    }
    PictureLoaderOptions options;
    options.pipeline = picture_pipeline(pipeline);
    options.batch_size = batch;
    options.workers = workers;
    const auto source = open_source(data, {options.pipeline.orientation, least_side});
    PictureLoader<float> loader(source, {}, options);
    Batch<float> out;
    const std::uint64_t steps = loader.steps_per_epoch();
    for (std::uint64_t s = 0; s < steps; s++) loader.batch(s, out);
    const double cpu = bench::core_seconds();
    const auto begin = std::chrono::steady_clock::now();
    double sum = 0;
    std::size_t pictures = 0;
    for (std::uint64_t s = steps; s < steps * static_cast<std::uint64_t>(1 + epochs); s++) {
        loader.batch(s, out);
        sum += static_cast<double>(out.pixels[0]);
        pictures += static_cast<std::size_t>(out.n);
    }
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double core = bench::core_seconds() - cpu;
    const auto n = static_cast<double>(pictures);
    std::puts(JsonObject()
                  .add("pictures", pictures)
                  .add("core", core / n)
                  .add("wall", wall / n)
                  .add("check", sum)
                  .text()
                  .c_str());
    return 0;
}

int main(int argc, char** argv) { return nascent::run_program("bench_pictures", run, argc, argv); }
