// A whole RLNAS run on NAS-Bench-201 (CVPR 2021): train a supernet on random labels, search the architecture whose
// weights turned furthest from their start, compare with a benchmark table. Everything lives in a run directory and can
// be killed and resumed at any moment, to the same bits.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "nas/algo/rlnas_search.h"
#include "nas/algo/supernet_trainer.h"
#include "nas/data/dataset.h"
#include "nas/run/run_directory.h"

namespace nascent {

/// Files of a run that searches read: the supernet at the start and at the end, by PyTorch's names.
std::string initial_path(const RunDirectory& run);
std::string trained_path(const RunDirectory& run);

/// What a configuration says of network and training; the space is whole.
SupernetTraining nb201_training_of(const RlnasConfig& config);
nb201::NetConfig nb201_net_config(const RlnasConfig& config, const Dataset& set);

class RlnasRun {
  public:
    /// A fresh run where the directory holds no checkpoint, else one that goes on. `config` must be resolved. Loads the
    /// data and builds the network; throws what load_dataset() and the network throw.
    RlnasRun(const RlnasConfig& config, RunDirectory& directory);
    ~RlnasRun();

    /// Trains to the end; writes the initial and final state dicts into export/. Throws Error(interrupted) after
    /// writing a checkpoint when a signal came.
    void train();
    /// Steps done, of how many.
    std::int64_t step() const;
    std::int64_t total_steps() const;

  private:
    struct Parts;
    void save();
    void end_epoch(std::int64_t epoch);
    Nb201AngleTable angles_so_far();
    void restore();
    const RlnasConfig& config_;
    RunDirectory& directory_;
    std::unique_ptr<Parts> parts_;
};

/// What search_states() needs besides the states.
struct SearchRequest {
    RlnasConfig config;            // angle, search, run.seed
    std::string initial, trained;  // state dict files
    /// The run's own search, which `directory` keeps between generations and goes on with; any other one, perhaps with
    /// other settings, starts anew and leaves the kept one alone.
    bool resumable = false;
};

struct SearchResult {
    std::vector<Found> found;  // one per method; the first is the answer
    int classes = 0;
    std::optional<nb201::NetConfig> net;  // of the supernet; nothing where the files do not say its pictures' size
    std::string device;                   // that trained; empty where the files do not say
    std::vector<double> angles;           // of all architectures, by id
    std::optional<Judgement> judgement;
};

/// Reads two state dicts and searches. `directory`, if any, gets arch.json, drawings and all angles, and in a resumable
/// search the state of the evolution. Throws Error(interrupted) when a signal came, Error(checkpoint) for states that
/// are not two of one network, and what the table throws.
SearchResult search_states(const SearchRequest& request, RunDirectory* directory);

/// The answer as JSON: space, arch, index, angle, cost, method, and the judgement where there is one.
std::string to_json(const SearchResult& result, const RlnasConfig& config);
std::string to_text(const SearchResult& result);

/// Writes arch.json and export/{cell.dot,cell.svg,angles.csv} into a folder, which is made; arch.json last.
void write_result(const SearchResult& result, const RlnasConfig& config, const std::string& folder);

}  // namespace nascent
