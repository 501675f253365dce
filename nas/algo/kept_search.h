// An evolution's state in a run's folder, and when it is written.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "nas/algo/evolution.h"
#include "nas/algo/rlnas_config.h"
#include "nas/run/run_directory.h"

namespace nascent {

class KeptSearch {
  public:
    /// `directory` null: nothing is kept.
    KeptSearch(const RlnasConfig& config, RunDirectory* directory);
    /// What a search that was stopped left; says so in the log.
    std::optional<EvolutionState> read() const;
    /// After a generation: writes the state when it is time. Throws Error(interrupted) after a signal.
    void after(const EvolutionState& state);

  private:
    const RlnasConfig& config_;
    RunDirectory* directory_;
    std::string path_;
    std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
};

}  // namespace nascent
