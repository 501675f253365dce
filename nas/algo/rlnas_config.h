// Every setting of an RLNAS run. The defaults are those of the paper's NAS-Bench-201 code (RLNAS, CVPR 2021).
#pragma once
#include "nas/algo/common_options.h"

namespace nascent {

struct RlnasConfig {
    std::string preset = "none";
    std::string space = "nasbench201";  // nasbench201 | darts | a space of chains: mobilenet | mobilenet-fairnas

    struct Data : PictureOptions {
        std::string split = "auto";           // auto | nb201 | all
        int hold_out = 0;                     // pictures of each class that are not trained on
        std::string order = "epochs";         // epochs | one-shuffle | replacement, see BatchOrder
        std::string labels = "fixed-random";  // true | fixed-random | per-access-random
        std::int64_t label_seed = -1;         // -1: the run's seed
    } data;

    struct Net {
        int channels = 16;
        int cells = 5;   // per stage, of nasbench201
        int layers = 8;  // cells in all, of darts
        bool affine = false;
        std::string stem = "cifar";   // cifar | imagenet, of darts
        std::string start = "torch";  // torch | kaiming, of darts
        std::string shrunk;           // file of a shrunk space; "": the whole
    } net;

    struct Train {
        int epochs = 250;
        int batch = 64;
        double lr = 0.025;
        double lr_min = 0.001;
        double momentum = 0.9;
        bool nesterov = true;
        double weight_decay = 5e-4;
        std::string decay = "all";  // see weight_decay_names()
        double clip = 0;            // by norm, 0: off
        double clip_value = 0;      // of each element, 0: off
        double label_smoothing = 0;
        std::string inactive = "coast";     // coast | skip
        std::string sampling = "per-cell";  // per-cell | shared, of nasbench201
        std::string draws = "numpy";        // numpy | counters, of darts and chains
        std::string lr_step = "after";      // after | before the epoch or, where rates fall by steps, the update
        std::string schedule = "cosine";    // cosine per epoch | linear per step, of darts and chains
        int schedule_epochs = 0;            // that the rates fall over; 0: epochs
        std::string dtype = "float32";      // float32 | float64
        std::string conv = "direct";        // direct | winograd
        std::string precision = "float32";  // float32 | tf32: products on the gpu | bf16: activations too
    } train;

    struct Angle {
        bool pool = true;
        std::string identity = "none";  // none | eye
        std::string blocked = "zero";   // zero | fixed
        std::string rules =
            "auto";  // of darts: auto | rlnas-cifar10 | rlnas-imagenet | anglenas; of chains: auto | rlnas | anglenas
    } angle;

    struct Search {
        std::string method = "evolution";  // evolution | exhaustive | exact | both
        std::int64_t max_flops = -1;       // of darts and chains; -1: no limit
        int flops_size = 224;              // side of the pictures they are counted for, of chains
        bool mutate_none = true;           // of darts: a mutated gene may become none
        bool mutate_reduction = false;     // of darts: genes of the reduction cell mutate too
        int population = 100;
        int select = 30;
        int mutation = 50;
        int crossover = 50;
        double m_prob = 0.1;
        int generations = 20;
        std::int64_t seed = -1;    // -1: the run's
        std::string table;         // "": none
        std::string table_column;  // "": the table's own choice
    } search;

    struct Run : ProcessOptions {
        std::string until = "search";  // train | search | shrink
    } run;

    /// AngleNAS's schedule; the defaults are its SPOS's.
    struct Shrink {
        std::string by = "angle";     // angle | accuracy | magnitude, the latter two of nasbench201
        std::string alphas;           // magnitude: alphas as a file, or the folder of a darts_search run
        int batch = 512;              // accuracy: held-out pictures for each architecture
        std::string rule = "lowest";  // lowest | one-per-layer
        int drops = 7;                // of a stage, by the rule lowest
        int first_epochs = 100, other_epochs = 5;
        int max_stages = 20;
        double stop_at = 1e6;  // architectures left
        int samples = 1000;
        std::int64_t max_flops = 600'000'000;       // of architectures that score; -1: no limit
        int replace_base_above = 50;                // -1: never
        int warm_up_cells = 0, warm_up_epochs = 5;  // of darts: cells inserted, epochs before each
    } shrink;
};

/// The table bound to `config`, which must outlive it and stay where it is.
OptionTable rlnas_options(RlnasConfig& config);

/// Names of presets: the papers' runs, and smoke/* that take a minute.
const std::vector<std::string>& rlnas_preset_names();
/// Throws Error(usage) for another name, with the nearest.
RlnasConfig rlnas_preset(const std::string& name);

/// Whether it is a space of chains.
bool is_chain(const std::string& space);

/// Replaces "same as ..." values by what they stand for and checks what one option alone cannot tell; `training` asks
/// for data as well. Error of kind usage.
void resolve(RlnasConfig& config, bool training);

}  // namespace nascent
