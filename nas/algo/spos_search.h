// The second half of Single Path One-Shot: an evolution over the paths of a trained supernet, scored by how well they
// classify. Its whole state is in the run's checkpoints, also in the middle of a generation.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/io/json_text.h"
#include "nas/algo/candidate_scores.h"
#include "nas/algo/common_options.h"
#include "nas/algo/path_genes.h"
#include "nas/algo/search_limits.h"
#include "nas/run/progress.h"
#include "nas/run/run_directory.h"

namespace nascent {

/// What a search works on. Nothing is owned; all must outlive it.
struct SposSearchInput {
    const SposSearchOptions& options;
    const ProcessOptions& process;
    ChainNet& net;  // with trained weights
    const HeldPictures* calibration;
    const HeldPictures& evaluation;
    const SearchLimits& limits;
    std::vector<std::vector<int>> operators;  // of each block, what is left of the space and the limits are over
    std::string pictures;         // what candidates are evaluated on, in words: "1000 of 10000 held-out pictures"
    std::int64_t first_step = 0;  // of the journal: the training's last
    std::string target;           // target_of() the device
};

class SposSearch {
  public:
    /// Goes on where `found` is a search's checkpoint; begins where it is none or a training's. Throws
    /// Error(checkpoint) for one of another search.
    SposSearch(const SposSearchInput& input, RunDirectory& directory, const std::optional<Checkpoint>& found);
    ~SposSearch();

    /// To the end; writes arch.json, and arch.svg, arch.yaml and candidates.csv into export/. Throws Error(interrupted)
    /// after writing a checkpoint when a signal came.
    void run();
    /// The answer, as arch.json has it.
    JsonObject result() const;

  private:
    using Candidate = EvolutionState::Candidate;
    void advance(ProgressState& shown);
    void begin_generation();
    void end_generation();
    void save();
    void restore(const Checkpoint& found);
    void check_candidates() const;
    std::int64_t step() const;
    double key(const Score& score) const;
    /// Places of scored candidates in the evolution's list, the best first.
    std::vector<int> ranked() const;
    JsonObject described(int place) const;
    JsonObject policy() const;
    std::string candidates_csv() const;
    void write_result() const;

    SposSearchInput in_;
    RunDirectory& directory_;
    PathGenes genes_;
    std::optional<Evolution> evolution_;
    CandidateScores scores_;
    std::vector<Score> scored_;  // by place in the evolution's list
    std::int64_t units_ = 0;     // steps of finished generations
};

/// What arch.json says, for people. Throws Error(data) that names `source`.
std::string spos_result_text(const std::string& arch_json, const std::string& source);

}  // namespace nascent
