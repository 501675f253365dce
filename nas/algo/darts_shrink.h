// AngleNAS's shrinking of the DARTS space (ECCV 2020), whose list DARTS and P-DARTS then search: the supernet grows
// cell by cell, is trained, drops operators by angle, and so on until the space is small.
#pragma once
#include <memory>
#include <string>

#include "nas/algo/rlnas_config.h"
#include "nas/algo/shrink.h"
#include "nas/run/run_directory.h"

namespace nascent {

class DartsShrinkRun {
  public:
    /// A fresh run where the directory holds no checkpoint, else one that goes on. `config` must be resolved. Throws
    /// what pictures and network throw.
    DartsShrinkRun(const RlnasConfig& config, RunDirectory& directory);
    ~DartsShrinkRun();
    /// To the end; writes export/{init,base,final}.safetensors, base only where cells were inserted: the weights that
    /// angles are measured from; and export/shrunk_space.json. Throws Error(interrupted) after a checkpoint when a
    /// signal came.
    void train();

  private:
    struct Parts;
    struct Stretch;
    void begin(int inserted);
    void restore();
    void save();
    void end_epoch(std::int64_t epoch);
    /// Steps and epochs count from the run's first.
    std::int64_t step() const;
    void train_to(std::int64_t step);
    void insert();
    void shrink();
    void write(const std::string& path) const;
    std::string base_path() const;
    const RlnasConfig& config_;
    RunDirectory& directory_;
    std::unique_ptr<Parts> parts_;
};

}  // namespace nascent
