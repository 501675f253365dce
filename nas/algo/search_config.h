// Every setting of a search by gradients. The defaults are those of DARTS on CIFAR-10, first order.
#pragma once
#include "nas/algo/bilevel.h"
#include "nas/algo/common_options.h"
#include "nas/algo/search_space.h"
#include "nas/algo/stages.h"

namespace nascent {

struct SearchConfig {
    std::string preset = "none";
    std::string algo = "darts";   // darts | pcdarts | drnas | gdas | snas | rsps
    std::string space = "darts";  // darts | nasbench201

    struct Data : PictureOptions {
        std::string split = "auto";  // auto | half | nb201 | parts | folders
        std::string train_part;      // FIRST:LAST (excluded) of the training pictures, with split = parts
        std::string valid_part;
    } data;

    struct Net {
        int channels = 16;
        int layers = 8;                     // darts
        int cells = 5;                      // nasbench201, per stage
        bool track = true;                  // nasbench201
        int partial = 1;                    // K of PC-DARTS and DrNAS
        bool shuffle = true;                // with partial > 1
        bool random_order = false;          // darts, with shuffle
        bool none = true;                   // darts
        std::string widening = "released";  // released | net2wider
        std::string stem = "cifar";         // darts: cifar | imagenet
        std::string bn_gamma = "uniform";   // uniform | ones
    } net;

    struct Train {
        int epochs = 50;
        int batch = 64;
        double lr = 0.025;
        double lr_min = 0.001;
        std::string lr_step = "after";      // after | before
        int warmup = 0;                     // epochs
        std::string lr_stages = "restart";  // restart | continue
        double momentum = 0.9;
        bool nesterov = false;
        double weight_decay = 3e-4;
        double clip = 5;                    // 0: off
        std::string inactive = "skip";      // coast | skip
        std::string dtype = "float32";      // float32 | float64
        std::string conv = "direct";        // direct | winograd
        std::string precision = "float32";  // float32 | tf32: products on the gpu | bf16: activations too
    } train;

    struct Arch {
        int order = 1;
        double lr = 3e-4;
        double beta1 = 0.5, beta2 = 0.999;
        double eps = 1e-8;
        double weight_decay = 1e-3;
        double clip = 0;                // 0: off
        std::string batches = "fresh";  // fresh | iterator | pairs
        std::string turn = "first";     // first | last | together
        bool in_clip = false;
        int begin = 0;                    // epochs in which only the weights move, in each stage
        std::string stages;               // drnas: EPOCH:K:OPERATORS,...
        double kl = 0;                    // drnas
        double tau = 10, tau_last = 0.1;  // gdas, snas
        std::string tau_way = "to-end";   // to-end | after | before
        bool bare_sums = false;           // gdas
        std::string twin = "auto";        // auto | on | off
    } arch;

    struct Valid {
        bool augment = true;
        int batch = 0;  // 0: as in training
        int last = 0;   // only after so many epochs at the end; 0: after each
    } valid;

    struct Search {
        int candidates = 100;    // rsps: architectures that are compared
        int choose_last = 1;     // rsps: only after so many epochs at the end; 0: after each
        int collapse_skips = 0;  // 0: the space's own
        bool stop_on_collapse = false;
        std::string table;         // "": none
        std::string table_column;  // "": the table's own choice
    } search;

    ProcessOptions run;
};

/// The table bound to `config`, which must outlive it and stay where it is.
OptionTable search_options(SearchConfig& config);

/// Names of presets: rows of papers' tables, and smoke/* that take a minute.
const std::vector<std::string>& preset_names();
/// Throws Error(usage) with the nearest name. "none" is the defaults.
SearchConfig preset(const std::string& name);

/// Checks what one option alone cannot tell. Error of kind usage.
void check(const SearchConfig& config);

const SearchSpace& space_of(const SearchConfig& config);
BilevelTraining training_of(const SearchConfig& config);

/// Places in the training set of the two halves; of `valid` in the test set where `held_out`. Throws Error(usage) where
/// they overlap, are empty or do not fit.
struct Halves {
    std::vector<std::uint32_t> train, valid;
    bool held_out = false;
};
Halves halves_of(const SearchConfig& config, const Dataset& set);
SearchSettings settings_of(const SearchConfig& config, int classes, int size);
/// Of a progressive search; one of others. Throws Error(usage) as read_stages().
std::vector<Stage> stages_of(const SearchConfig& config);

}  // namespace nascent
