// RLNAS and AngleNAS on spaces of chains of blocks (their MobileNets): train a supernet of paths, and search the chain
// whose weights turned furthest; or drop operators between stages of the training until the space is small.
#pragma once
#include <memory>
#include <string>

#include "nas/algo/angle_search.h"
#include "nas/algo/rlnas_config.h"
#include "nas/algo/shrink.h"
#include "nas/metric/angle_switches.h"
#include "nas/run/run_directory.h"
#include "nas/space/chain.h"

namespace nascent {

class ChainRlnasRun {
  public:
    /// A fresh run where the directory holds no checkpoint, else one that goes on. `config` must be resolved. Loads the
    /// data and builds the network; throws what the pictures, the space and the shrunk space's file throw.
    ChainRlnasRun(const RlnasConfig& config, RunDirectory& directory);
    ~ChainRlnasRun();

    /// Trains to the end; writes the initial and final state dicts into export/, and of a run that shrinks
    /// export/shrunk_space.json, and export/base.safetensors where the base weights were replaced. Throws
    /// Error(interrupted) after writing a checkpoint when a signal came.
    void train();
    std::int64_t step() const;
    /// Of a run that shrinks: at most.
    std::int64_t total_steps() const;

  private:
    struct Parts;
    void save();
    void restore();
    void end_epoch(std::int64_t epoch);
    void draw_from(const OperatorLists& operators);
    bool done() const;
    /// Scores and drops operators, after the last epoch of a stage.
    void shrink();
    const RlnasConfig& config_;
    RunDirectory& directory_;
    std::unique_ptr<Parts> parts_;
};

/// All operators of a space.
OperatorLists operators_of(const chain::Space& space);
/// Those of net.shrunk, or all. Throws what operators_left() throws.
OperatorLists operators_of(const RlnasConfig& config, const chain::Space& space);
ShrinkSchedule shrink_schedule(const RlnasConfig& config, const chain::Space& space);
struct ChainSearchResult {
    AngleSearch search;
    chain::Space space;        // whose FLOPs count: pictures of search.flops_size
    int trained_size = 0;      // of the pictures of the supernet
    double candidates = 0;     // in the space, or what is left of it
    AngleComparison switches;  // on 200 random chains
    std::string rules;         // of the angle
    std::string device;        // that trained; empty where the file does not say
};

/// Reads two state dict files and searches; `directory`, if any, gets arch.json, a drawing and the table of switches,
/// and where `resumable` the state of the evolution. Throws Error(interrupted) when a signal came, Error(checkpoint)
/// for states that are not two of one supernet of the configuration's space.
ChainSearchResult search_chain_states(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                                      bool resumable, RunDirectory* directory);
std::string to_json(const ChainSearchResult& result);
std::string to_text(const ChainSearchResult& result);
/// Writes arch.json, last, and export/{architecture.svg,switches.txt}.
void write_result(const ChainSearchResult& result, const std::string& folder);

/// What a run that shrank dropped, stage by stage, and what is left.
std::string shrunk_text(const ShrinkState& state, const chain::Space& space);

}  // namespace nascent
