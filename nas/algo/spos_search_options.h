// The settings of a search on a trained supernet of ShuffleNetV2's or MobileNet's space. The defaults are those of
// Single Path One-Shot's program, but for what is compared on: a fixed set of pictures, and statistics that are those
// of all calibration pictures.
#pragma once
#include <string>
#include <vector>

#include "nas/algo/evolution.h"
#include "nas/run/config.h"

namespace nascent {

/// Keys search.*
struct SposSearchOptions {
    std::string checkpoint;  // a supernet's state dict; "": the run's own

    int population = 50;
    int select = 10;
    int mutation = 25;
    int crossover = 25;
    double m_prob = 0.1;
    /// Populations that are scored. SPOS's program breeds 20 times and takes the best of all that it scored, the last
    /// population too.
    int generations = 21;
    int tries = 10;                   // candidates drawn for each one wanted before mutation or crossover gives up
    std::string first = "mutation";   // mutation | crossover
    std::string random = "legal";     // legal | rejected
    std::string order = "top1-top5";  // top1-top5 | top1
    double rounding = 0;              // of top-1, in percent; 0: none
    int top = 50;                     // reported

    std::int64_t max_flops = -1, min_flops = -1;    // -1: no limit
    std::string flops = "auto";                     // auto | mac | thop | mmrazor
    std::int64_t max_params = -1, min_params = -1;  // -1: no limit
    double max_latency = 0;                         // milliseconds; 0: no limit
    std::string latency_table;

    std::string norms = "exact";  // exact | ema | batch | none
    int calibration = 2'560;      // pictures
    int calibration_batch = 128;
    std::string calibration_views = "train";  // train | evaluation
    std::string evaluation = "fixed";         // fixed | slices
    int pictures = 8'000;                     // that a candidate is evaluated on; 0: all
    int batch = 200;                          // of evaluation
    bool prefix_sharing = true;
    int together = 1;  // branches side by side; 0: four for each thread
    bool capture = true;
};

void add_spos_search_options(OptionTable& table, SposSearchOptions& options);
/// Checks what one option alone cannot tell. Error of kind usage.
void check(const SposSearchOptions& options);
EvolutionConfig evolution_config(const SposSearchOptions& options);

}  // namespace nascent
