// Training of a supernet on ShuffleNetV2's or MobileNet's space in a run directory, which can be killed and resumed at
// any moment, to the same bits (Single Path One-Shot, ECCV 2020).
#pragma once
#include <memory>
#include <string>

#include "nas/algo/spos_config.h"
#include "nas/algo/spos_pictures.h"
#include "nas/run/run_directory.h"

namespace nascent {

/// The trained supernet of a run, by the original's names; its metadata say what it is of.
std::string supernet_path(const RunDirectory& run);

class SposTraining {
  public:
    /// Fresh where the directory holds no checkpoint, else it goes on. `config` must be resolved; all three must
    /// outlive this, which closes the pictures' loaders at its end. Builds the network; throws what the loaders, the
    /// space, chain_paths() and the network throw.
    SposTraining(const SposConfig& config, SposPictures& pictures, RunDirectory& directory);
    ~SposTraining();

    /// Trains to the end and writes supernet_path(). Throws Error(interrupted) after writing a checkpoint when a signal
    /// came.
    void train();
    /// Steps done, of how many.
    std::int64_t step() const;
    std::int64_t total_steps() const;

  private:
    struct Parts;
    void save();
    void restore();
    void end_epoch(std::int64_t epoch);
    const SposConfig& config_;
    RunDirectory& directory_;
    std::unique_ptr<Parts> parts_;
};

}  // namespace nascent
