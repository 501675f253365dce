// Every setting of a Single Path One-Shot run (ECCV 2020). The defaults are those of its program on ShuffleNetV2's
// space, but for what belongs to the pictures.
#pragma once
#include "nas/algo/chain_paths.h"
#include "nas/algo/common_options.h"
#include "nas/algo/spos_search_options.h"
#include "nas/supernet/chain_start.h"

namespace nascent {

struct SposConfig {
    std::string preset = "none";
    std::string space = "shufflenet";  // see chain::kSpaces

    struct Data : PictureOptions {
        int holdout = 0;  // training pictures of each class that candidates are compared on; 0: the
                          // validation split
        bool holdout_from_train = false;
    } data;

    struct Net {
        int first_scale = 0, last_scale = 7, width_multiple = 1;  // shufflenet-channels
        std::string affine = "published";                         // published | yes | no
        double dropout = -1;                                      // -1: as published
        std::string start = "published";                          // published | spos | anglenas | mmrazor | torch
        std::string shrunk;                                       // file of a shrunk space; "": the whole
    } net;

    struct Train {
        int epochs = 120;
        std::int64_t steps = 0;  // 0: by epochs
        int batch = 1024;
        std::string order = "epochs";  // epochs | replacement
        double lr = 0.5;
        double lr_min = 0;
        std::string schedule = "linear";  // linear | cosine
        std::string lr_step = "after";    // after | before
        double momentum = 0.9;
        bool nesterov = false;
        double weight_decay = 4e-5;
        std::string decay = "original";  // see weight_decay_names()
        double clip = 0;                 // 0: off
        double clip_value = 0;           // 0: off
        double label_smoothing = 0.1;
        std::string inactive = "skip";     // coast | skip
        std::string sampling = "uniform";  // uniform | buckets | fair
        std::string flops = "auto";        // auto | mac | thop | mmrazor: of the buckets
        std::int64_t bucket_low = 290'000'000, bucket_high = 360'000'000, bucket_width = 10'000'000;
        int bucket_tries = 500;
        double widen_from = 0, widen_every = 0;  // epochs, shufflenet-channels
        std::string dtype = "float32";           // float32 | float64
        std::string precision = "float32";       // float32 | tf32: products on the gpu | bf16: activations too
    } train;

    SposSearchOptions search;

    struct Run : ProcessOptions {
        std::string until = "search";  // train | search
    } run;
};

/// The table bound to `config`, which must outlive it and stay where it is.
OptionTable spos_options(SposConfig& config);

/// Names of presets: the papers' runs, and smoke/* that are short.
const std::vector<std::string>& spos_preset_names();
/// Throws Error(usage) for another name, with the nearest.
SposConfig spos_preset(const std::string& name);

/// Replaces "same as ..." values by what they stand for and checks what one option alone cannot tell. Error of kind
/// usage.
void resolve(SposConfig& config);

/// The space of a resolved configuration, for pictures of `size` in `classes`.
chain::Space space_of(const SposConfig& config, int classes, int size);
/// Its supernet.
chain::Net supernet_of(const SposConfig& config, const chain::Space& space);
ChainStart start_of(const SposConfig& config, const chain::Space& space);
/// How it is trained, with that many steps in an epoch.
ChainTraining training_of(const SposConfig& config, std::int64_t steps_per_epoch);
/// Of each block, the operators that net.shrunk leaves, or all. Throws what operators_left() throws.
std::vector<std::vector<int>> operators_of(const SposConfig& config, const chain::Space& space);
ChainSampling sampling_of(const SposConfig& config, std::int64_t steps_per_epoch);

}  // namespace nascent
