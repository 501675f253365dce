// spos: Single Path One-Shot search on the ShuffleNetV2 and MobileNet spaces (Guo et al., ECCV 2020).
#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/run_options.h"
#include "apps/spos/commands.h"
#include "apps/spos/run_commands.h"
#include "engine/base/error.h"
#include "nas/run/program.h"

using namespace nascent;

namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 done; 1 failure while running (disk full, loss not finite); 2 command line, configuration or "
    "architecture; 3 data missing or damaged; 4 checkpoint or state damaged; 5 no such device or out of memory; 75 "
    "stopped by a signal, go on with resume; 130 second Ctrl-C.";

struct Runs : RunOptions<SposConfig, spos_options, spos_preset> {
    std::string directory, searched;
    bool json = false;
};

int run(int argc, char** argv) {
    spos::CostRequest request;
    bool list = false;
    CLI::App app("spos: Single Path One-Shot search on the ShuffleNetV2 and MobileNet spaces (ECCV 2020)", "spos");
    app.footer(exit_codes);
    app.require_subcommand(0, 1);
    CLI::App* cost = app.add_subcommand("cost", "parameters and multiply-accumulates in every convention, as JSON");
    cost->add_option("arch", request.arch,
                     "an architecture such as (2, 1, 0, ...), the name of a published one, or an MMRazor subnet file")
        ->option_text("ARCH");
    CLI::Option* space = cost->add_option("--space", request.space,
                                          "shufflenet, shufflenet-channels, shufflenet-mmrazor, mobilenet, "
                                          "mobilenet-mmrazor or mobilenet-fairnas")
                             ->capture_default_str();
    CLI::Option* size = cost->add_option("--size", request.size, "height and width of the pictures (224)")
                            ->check(CLI::Range(1, 1'000'000));
    CLI::Option* classes =
        cost->add_option("--classes", request.classes, "number of classes (1000)")->check(CLI::Range(1, 1'000'000));
    cost->add_flag("--list", list, "the published architectures, of all spaces or of --space, a line each");

    spos::PackRequest packing;
    CLI::App* data = app.add_subcommand("data", "pictures of any size");
    data->require_subcommand(0, 1);
    CLI::App* pack = data->add_subcommand(
        "pack", "decode and resize the pictures of FOLDER/train and FOLDER/val (or test) once, a file for each split");
    pack->add_option("folder", packing.root, "folder with train and val, in each a folder per class")
        ->option_text("FOLDER");
    pack->add_option("--out", packing.out, "folder for train.pack and val.pack")->option_text("DIR");
    CLI::Option* side = pack->add_option("--size", packing.side, "the shorter side, or the square's")
                            ->check(CLI::Range(1, 8192))
                            ->capture_default_str();
    pack->add_option("--geometry", packing.geometry,
                     "no side below --size where the picture allows it, the centre square, or as they are")
        ->check(CLI::IsMember({"shorter-side", "square", "original"}))
        ->capture_default_str();
    pack->add_option("--resize", packing.resize, "whose way to resize")
        ->check(CLI::IsMember({"pillow", "opencv"}))
        ->capture_default_str();
    pack->add_flag("--orientation", packing.orientation, "turn pictures as their EXIF data say (for mmrazor-*)");
    pack->add_flag("--skip-corrupt", packing.skip_corrupt, "leave pictures out that cannot be decoded");
    pack->add_option("--threads", packing.threads, "threads that decode, 0 for all; no effect on the files")
        ->check(CLI::Range(0, 4096))
        ->capture_default_str();

    spos::LatencyCommand measured;
    CLI::App* latency = app.add_subcommand(
        "latency", "measure every operator of every block on this machine: a table for --latency-table");
    latency->add_option("--space", measured.space, "as of cost")->capture_default_str();
    latency->add_option("--size", measured.size, "height and width of the pictures (224)")->check(CLI::Range(1, 4096));
    latency->add_option("--classes", measured.classes, "number of classes (1000)")->check(CLI::Range(1, 1'000'000));
    latency->add_option("--batch", measured.batch, "pictures that go through at a time")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    latency->add_option("--device", measured.device, "where")
        ->check(CLI::IsMember({"cpu", "gpu"}))
        ->capture_default_str();
    latency->add_option("--threads", measured.threads, "threads that compute, 0 for all")
        ->check(CLI::Range(0, 4096))
        ->capture_default_str();
    latency->add_option("--dtype", measured.dtype, "type of weights and activations")
        ->check(CLI::IsMember({"float32", "float64"}))
        ->capture_default_str();
    latency->add_option("--warmup", measured.warmup, "rounds that do not count")
        ->check(CLI::Range(0, 1'000'000))
        ->capture_default_str();
    latency->add_option("--repeats", measured.repeats, "rounds of which the median is taken")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    latency->add_option("-o,--out", measured.out, "file that is written; without it the table is printed")
        ->option_text("FILE");

    Runs runs;
    CLI::App* whole = app.add_subcommand("run", "train a supernet and search it");
    add_options(*whole, runs.table, runs.overrides);
    CLI::App* train = app.add_subcommand("train", "train a supernet");
    add_options(*train, runs.table, runs.overrides);
    CLI::App* search = app.add_subcommand(
        "search",
        "search the supernet of a trained run (--run DIR), or one of a file (--checkpoint FILE), in a run of "
        "its own");
    add_options(*search, runs.table, runs.overrides, {"train"});
    search->add_option("--run", runs.searched, "folder of a trained run, whose settings hold where none are given")
        ->option_text("DIR");
    CLI::App* resume = app.add_subcommand("resume", "go on with a run that was stopped");
    add_options(*resume, runs.resumable, runs.overrides);
    resume->add_option("directory", runs.directory, "folder of the run")->option_text("DIR");
    for (CLI::App* command : {whole, train, search, resume})
        command->add_flag("--json", runs.json, "print the result as one line of JSON");

    if (!parse_command_line(app, argc, argv)) return 0;
    if (*latency) {
        spos::latency(measured);
        return 0;
    }
    if (*search) {
        if (runs.searched.empty()) {
            spos::search(runs.chosen(), runs.json);
        } else {
            spos::search_run(
                runs.searched, [&](SposConfig& base) { runs.change(base); }, runs.json);
        }
        return 0;
    }
    if (*whole || *train) {
        SposConfig config = runs.chosen();
        if (*train) config.run.until = "train";
        spos::run(std::move(config), runs.json);
        return 0;
    }
    if (*resume) {
        NASCENT_CHECK(!runs.directory.empty(), usage, "resume needs the folder of a run: spos resume DIR");
        spos::resume(
            runs.directory, [&](SposConfig& base) { runs.change_resumed(base); }, runs.json);
        return 0;
    }
    if (*pack) {
        NASCENT_CHECK(!packing.root.empty() && !packing.out.empty(), usage,
                      "pack needs folders to read and to write: spos data pack FOLDER --out DIR");
        NASCENT_CHECK(packing.geometry != "original" || side->empty(), usage,
                      "--size is of pictures that are resized, --geometry original keeps them as they are");
        spos::pack(packing);
        return 0;
    }
    if (!*cost) {
        std::fputs((*data ? *data : app).help().c_str(), stderr);
        return static_cast<int>(ErrorKind::usage);
    }
    if (list) {
        NASCENT_CHECK(request.arch.empty() && size->empty() && classes->empty(), usage,
                      "--list goes with --space alone");
        spos::list(space->empty() ? std::string() : request.space);
    } else {
        NASCENT_CHECK(!request.arch.empty(), usage, "cost needs an architecture: spos cost ARCH --space NAME");
        spos::cost(request);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("spos", run, argc, argv); }
