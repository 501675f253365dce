// Settings that all runs share: their pictures and their process.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/streams/device.h"
#include "nas/data/dataset.h"
#include "nas/run/config.h"

namespace nascent {

/// Keys data.*
struct PictureOptions {
    std::string source;             // see load_dataset()
    int size = 0;                   // 0: the data set's own
    int classes = 0;                // 0: the data set's own
    std::string norm = "auto";      // see normalisation()
    std::string pipeline = "none";  // or see picture_pipeline(); of programs that offer it
    bool skip_corrupt = false;
    int synthetic_train = 10'000;
    int synthetic_test = 2'000;
};

/// Keys run.*
struct ProcessOptions {
    std::string out;
    std::int64_t seed = 0;
    int threads = 0;  // 0: all
    std::string device = "cpu";
    int checkpoint_seconds = 300;
    int checkpoint_steps = 0;  // 0: by time alone
    int loader_workers = 1;
    int progress_seconds = 30;
};

/// Adds them to a table bound to the fields' owner. `program` names the folder where no name is given.
void add_picture_options(OptionTable& table, PictureOptions& options);
/// data.pipeline, for programs whose pictures may be read when they are needed; key of the section data.
void add_pipeline_option(OptionTable& table, PictureOptions& options);
void add_process_options(OptionTable& table, ProcessOptions& options, const std::string& program);

/// train.precision, of float32 on the gpu.
void add_precision_option(OptionTable& table, std::string& precision);
/// Throws Error(usage) where tf32 or bf16 is asked for and the device is not the gpu or the type not float32, or bf16
/// of a network that does not store it: `network` is how messages name such a one, and empty otherwise.
void check_precision(const std::string& precision, const std::string& dtype, const ProcessOptions& process,
                     const std::string& network);
/// The run's device with its precision. Throws what make_device() does, and Error(usage) where a run in tf32 or bf16
/// would go on on the cpu.
std::unique_ptr<Device> run_device(const ProcessOptions& process, const std::string& precision);

/// The keys that may change when a run goes on: they move no bit of its result.
const std::vector<std::string>& resumable_keys();

/// Throws Error(usage) where no source is given.
void check_source(const PictureOptions& options);
/// Throws Error(usage) where the source has no files that a pipeline could read, or the pipeline does not normalise and
/// data.norm asks it to.
void check_pipeline_option(const PictureOptions& options);
/// Both as paths that the run's folder will be read with from anywhere; an empty `out` becomes runs/PROGRAM-DATE-TIME.
void make_absolute(PictureOptions& pictures, ProcessOptions& process, const std::string& program);
/// A file's path likewise; empty stays.
std::string absolute_path(const std::string& path);

/// As load_dataset(); throws Error(interrupted) when a signal came meanwhile.
Dataset load_pictures(const PictureOptions& pictures, const ProcessOptions& process);
/// Throws Error(data) unless the pictures are squares; their side.
int square_side(const Dataset& set);

/// "cpu (avx512)", "gpu (...)", "gpu (...), tf32", "gpu (...), bf16": what the bits depend on.
std::string target_of(Device& device);
/// Throws Error(data) where a run that goes on has other pictures than it had.
void check_pictures(const Dataset& set, std::size_t now, std::size_t before);

/// "cifar10: 25000 of 50000 training pictures 32x32, 10 classes, normalised as cifar10": how a log begins.
std::string describe(const Dataset& set, const std::string& used, const std::string& normalisation);

}  // namespace nascent
