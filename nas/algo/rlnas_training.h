// What training runs of RLNAS share, whatever the space.
#pragma once
#include <map>
#include <string>

#include "nas/algo/rlnas_config.h"
#include "nas/algo/run_pictures.h"
#include "nas/algo/training_epochs.h"
#include "ops/optim/sgd.h"

namespace nascent {

/// Batches in an epoch as ImageNet programs count them: whole ones, of `used` pictures; at least one.
std::size_t whole_batches(const RlnasConfig& config, std::size_t used);

/// The places of a run's training pictures: of its split, without those that are held out. Throws what training_ids()
/// and hold_out() throw, and Error(usage) where both would choose.
std::vector<std::uint32_t> training_pictures(const RlnasConfig& config, const Dataset& set);

/// Batches and labels of a run's training pictures.
LoaderOptions loader_options(const RlnasConfig& config, const Dataset& set);

/// What a state dict file of a run says of itself.
std::map<std::string, std::string> state_metadata(const RlnasConfig& config, int input_size, std::int64_t step);

/// How a run's weights are stepped.
SgdOptions sgd_options(const RlnasConfig::Train& config);

/// How a run's log begins: its pictures, labels, and where it computes.
void say_beginning(RunLog& log, const RlnasConfig& config, const RunPictures& pictures, std::size_t used,
                   Device& device);

}  // namespace nascent
