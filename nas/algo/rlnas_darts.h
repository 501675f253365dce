// A whole RLNAS run on the DARTS space: train a supernet of paths on random labels, search the code whose weights
// turned furthest, by evolution and exactly. Like RlnasRun it lives in a run directory and may be killed at any moment.
#pragma once
#include <memory>
#include <string>

#include "nas/algo/angle_search.h"
#include "nas/algo/darts_path_trainer.h"
#include "nas/algo/rlnas_config.h"
#include "nas/metric/angle_switches.h"
#include "nas/run/run_directory.h"
#include "nas/supernet/initialise.h"

namespace nascent {

/// What a configuration says of network and training, of `pictures` training pictures; the space is whole.
DartsPathTraining darts_training_of(const RlnasConfig& config, std::size_t pictures);
darts::NetConfig darts_net_config(const RlnasConfig& config, const Dataset& set);
WeightStart darts_start(const RlnasConfig& config);

class DartsRlnasRun {
  public:
    /// A fresh run where the directory holds no checkpoint, else one that goes on. `config` must be resolved. Loads the
    /// data and builds the network; throws what load_dataset() and the network throw.
    DartsRlnasRun(const RlnasConfig& config, RunDirectory& directory);
    ~DartsRlnasRun();

    /// Trains to the end; writes the initial and final state dicts into export/. Throws Error(interrupted) after
    /// writing a checkpoint when a signal came.
    void train();
    std::int64_t step() const;
    std::int64_t total_steps() const;

  private:
    struct Parts;
    void save();
    void restore();
    void end_epoch(std::int64_t epoch);
    const RlnasConfig& config_;
    RunDirectory& directory_;
    std::unique_ptr<Parts> parts_;
};

struct DartsSearchResult {
    AngleSearch search;
    darts::NetConfig net;      // of the supernet
    AngleComparison switches;  // on 200 compared_codes()
    std::string rules;         // of the angle
    std::string device;        // that trained; empty where the file does not say
};

/// Paths of the first training steps by counters.
std::vector<darts::Code> compared_codes(std::uint64_t seed, int count, const darts::EdgeOperators& operators);

/// Reads two state dict files and searches; `directory`, if any, gets arch.json, drawings and the table of switches,
/// and where `resumable` the state of the evolution. Throws Error(interrupted) when a signal came, Error(checkpoint)
/// for states that are not two of one DARTS supernet.
DartsSearchResult search_darts_states(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                                      bool resumable, RunDirectory* directory);
std::string to_json(const DartsSearchResult& result);
std::string to_text(const DartsSearchResult& result);
/// Writes arch.json, last, and export/{normal,reduction}.{dot,svg} and export/switches.txt.
void write_result(const DartsSearchResult& result, const std::string& folder);

}  // namespace nascent
