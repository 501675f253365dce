// Every setting of an RLNAS run. The defaults are those of the paper's NAS-Bench-201 code (RLNAS, CVPR 2021).
#pragma once
#include "nas/algo/common_options.h"

namespace nascent {

struct RlnasConfig {
    std::string preset = "none";
    std::string space = "nasbench201";  // nasbench201 | darts

    struct Data : PictureOptions {
        std::string split = "auto";           // auto | nb201 | all
        std::string labels = "fixed-random";  // true | fixed-random | per-access-random
        std::int64_t label_seed = -1;         // -1: the run's seed
    } data;

    struct Net {
        int channels = 16;
        int cells = 5;   // per stage, of nasbench201
        int layers = 8;  // cells in all, of darts
        bool affine = false;
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
        std::string draws = "numpy";        // numpy | counters, of darts
        std::string lr_step = "after";      // after | before the epoch, of darts
        std::string dtype = "float32";      // float32 | float64
        std::string conv = "direct";        // direct | winograd
    } train;

    struct Angle {
        bool pool = true;
        std::string identity = "none";  // none | eye
        std::string blocked = "zero";   // zero | fixed
        std::string rules = "auto";     // of darts: auto | rlnas-cifar10 | rlnas-imagenet | anglenas
    } angle;

    struct Search {
        std::string method = "evolution";  // evolution | exhaustive | exact | both
        std::int64_t max_flops = -1;       // of darts; -1: no limit
        bool mutate_none = true;           // of darts: a mutated gene may become none
        bool mutate_reduction = false;     // of darts: genes of the reduction cell mutate too
        int population = 100;
        int select = 30;
        int mutation = 50;
        int crossover = 50;
        double m_prob = 0.1;
        int generations = 20;
        std::string table;         // "": none
        std::string table_column;  // "": the table's own choice
    } search;

    struct Run : ProcessOptions {
        std::string until = "search";  // train | search
    } run;
};

/// The table bound to `config`, which must outlive it and stay where it is.
OptionTable rlnas_options(RlnasConfig& config);

/// Names of presets: the papers' runs, and smoke/* that take a minute.
const std::vector<std::string>& rlnas_preset_names();
/// Throws Error(usage) for another name, with the nearest.
RlnasConfig rlnas_preset(const std::string& name);

/// Replaces "same as ..." values by what they stand for and checks what one option alone cannot tell; `training` asks
/// for data as well. Error of kind usage.
void resolve(RlnasConfig& config, bool training);

}  // namespace nascent
