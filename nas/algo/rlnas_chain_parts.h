// What a run on a space of chains consists of: of its own files alone.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nas/algo/chain_draws.h"
#include "nas/algo/chain_trainer.h"
#include "nas/algo/rlnas_chain.h"
#include "nas/algo/run_pictures.h"
#include "nas/algo/training_epochs.h"
#include "nas/supernet/chain.h"

namespace nascent {

struct ChainRlnasRun::Parts {
    explicit Parts(const RlnasConfig& config);
    std::unique_ptr<Device> device;
    std::string target;  // the bits depend on it
    RunPictures pictures;
    std::vector<std::uint32_t> ids;
    ChainNet net;
    std::optional<ChainDraws> draws;
    std::unique_ptr<ChainTrainer> trainer;
    // Of runs that shrink; else what the run began with, and no stages.
    ShrinkSchedule schedule;
    ShrinkState shrunk;
    TrainedOn trained_on() const { return {pictures.set, ids.size(), target}; }
    EpochLoss loss;
};

/// Where the base weights are that angles are measured from.
std::string base_path(const RunDirectory& run, const ShrinkState& state);

}  // namespace nascent
