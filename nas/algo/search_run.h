// A whole search by gradients: pictures halved, network and alphas trained in turns, an architecture derived each
// epoch. Everything lives in a run directory and can be killed and resumed at any moment, to the same bits.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "nas/algo/search_config.h"
#include "nas/run/run_directory.h"

namespace nascent {

class SearchRun {
  public:
    /// A fresh run where the directory holds no checkpoint, else one that goes on. `config` must be checked. Loads the
    /// data and builds the network; throws what load_dataset() and the network throw.
    SearchRun(const SearchConfig& config, RunDirectory& directory);
    ~SearchRun();

    /// Searches to the end, then writes export/ and last arch.json. Throws Error(interrupted) after writing a
    /// checkpoint when a signal came, Error(runtime) when a loss or an alpha is not finite: the last checkpoint is then
    /// from before.
    void search();
    std::int64_t step() const;
    std::int64_t total_steps() const;

  private:
    struct Parts;
    void restore();
    void save();
    /// The stage that a checkpoint is of, before the network is built; then all else in it, or a fresh start.
    void read_stage(const Checkpoint& found);
    void start(const std::optional<Checkpoint>& found);
    bool stage_is_due() const;
    void change_stage();
    void advance(struct ProgressState& shown);
    void record_genotype();
    bool choose();
    bool has_collapsed(int skips) const;
    void end_epoch();
    bool epoch_is_due() const;
    bool done() const;
    void write_result();

    const SearchConfig& config_;
    RunDirectory& directory_;
    std::unique_ptr<Parts> parts_;
};

/// What a search that is over left in arch.json, for people.
std::string result_text(const std::string& arch_json, const std::string& source);

/// The alphas at the start of each epoch and at the end, from a run's journal; the run may be going on.
struct AlphaMoment {
    int epoch = 0;  // trained before it
    Alphas alphas;
};
struct AlphaHistory {
    const SearchSpace* space = nullptr;
    std::vector<AlphaMoment> moments;
};
/// Throws Error(usage) where `run` is no run of this program, Error(data) where its journal is damaged or holds none.
AlphaHistory alpha_history(const std::string& run);

}  // namespace nascent
