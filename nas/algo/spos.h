// Training of a supernet on ShuffleNetV2's or MobileNet's space in a run directory, which can be killed and resumed at
// any moment, to the same bits (Single Path One-Shot, ECCV 2020).
#pragma once
#include <memory>
#include <string>

#include "nas/algo/spos_config.h"
#include "nas/run/run_directory.h"

namespace nascent {

/// The trained supernet of a run, by the original's names; its metadata say what it is of.
std::string supernet_path(const RunDirectory& run);

class SposTraining {
  public:
    /// Fresh where the directory holds no checkpoint, else it goes on. `config` must be resolved. Loads the data and
    /// builds the network; throws what SposPictures, the space, chain_paths() and the network throw.
    SposTraining(const SposConfig& config, RunDirectory& directory);
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
    void warn_of_corrupt();
    const SposConfig& config_;
    RunDirectory& directory_;
    std::unique_ptr<Parts> parts_;
};

/// Trains unless that is done already. `config` as above.
void train_spos(const SposConfig& config, RunDirectory& directory);

}  // namespace nascent
