// A search in a run's folder: from a configuration and a trained supernet to an architecture.
#pragma once
#include <memory>

#include "nas/algo/held_pictures.h"
#include "nas/algo/spos_config.h"
#include "nas/algo/spos_pictures.h"
#include "nas/run/run_directory.h"

namespace nascent {

/// What search_spos() would say of the limits, the latency table and the pictures; before a training. Throws
/// Error(usage) where no architecture is legal, with the nearest costs, and where there are fewer pictures to compare
/// candidates on than a batch holds.
void check_search(const SposConfig& config, const SposPictures& pictures);

/// What candidates are calibrated with (null where search.norms needs nothing) and evaluated on.
struct SearchPictures {
    std::unique_ptr<HeldPictures> calibration, evaluation;
};
SearchPictures hold_pictures(const SposConfig& config, const SposPictures& pictures, Device& device);

/// Searches the supernet in search.checkpoint, or the one that this run trained, and writes arch.json. `config` must be
/// resolved. Goes on with a search that was stopped. Throws what SearchLimits, load() and SposSearch throw.
void search_spos(const SposConfig& config, const SposPictures& pictures, RunDirectory& directory);

}  // namespace nascent
