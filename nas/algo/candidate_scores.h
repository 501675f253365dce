// How well candidates of a supernet classify with the supernet's weights: batch norms get statistics of their own on
// calibration pictures, then all are evaluated on the same ones.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "engine/io/safetensors.h"
#include "nas/algo/evaluate.h"
#include "nas/algo/held_pictures.h"
#include "nas/algo/trie_walk.h"

namespace nascent {

/// What a candidate's batch norms normalise by when it is evaluated.
enum class NormPolicy {
    exact,  // mean and variance of all calibration pictures, as if they were one batch
    ema,    // moving averages over the calibration batches, momentum 0.1 from mean 0 and variance 1: SPOS's program
    batch,  // each evaluation batch's own: MMRazor's norm_training
    none,   // the supernet's running statistics
};
/// "exact | ema | batch | none"; throws Error(usage) for another name.
NormPolicy norm_policy(std::string_view name);
std::string_view name_of(NormPolicy policy);

struct ScoringOptions {
    NormPolicy norms = NormPolicy::exact;
    int calibration_batch = 128, batch = 200;
    /// 0: all candidates on all evaluation pictures. Else each on so many, the next ones for the next candidate,
    /// beginning anew behind the last picture: SPOS's program.
    std::size_t slice = 0;
    bool share_prefixes = true;
    TrieWalk::Options walk = {};
};

/// Candidates are walked as a tree (PathTrie, TrieWalk), batch by batch: first all calibration batches, then all
/// evaluation batches. What they begin with in common is computed once a batch, to the same bits as without sharing.
/// Where a gpu captures, statistics of the piece that runs are copied to a place of the piece's operator and back, on
/// the device, so that its capture is the same for all candidates.
class CandidateScores {
  public:
    /// All must outlive it. `calibration` may be null where the policy needs none. Throws Error(usage) where there are
    /// fewer evaluation pictures than a batch holds, or fewer than a slice.
    CandidateScores(ChainNet& net, const HeldPictures* calibration, const HeldPictures& evaluation,
                    const ScoringOptions& options);

    /// `before`: candidates scored before these, which says where their slices begin. Throws Error(usage) for one that
    /// is not in the space.
    void begin(std::vector<chain::Architecture> candidates, std::int64_t before);
    /// Whether all batches of what begin() was told are done.
    bool done() const { return step_ == steps(); }
    /// A batch for all candidates, of a slice for one. False where `stop` said so between two pieces: then nothing has
    /// changed. It is asked on the cpu alone.
    bool step(const std::function<bool()>& stop = [] { return false; });
    std::int64_t steps() const { return calibration_steps() + evaluation_steps(); }
    std::int64_t step_number() const { return step_; }
    /// Pictures times candidates that step() went through.
    std::int64_t passes() const { return passes_; }
    /// One for each candidate, when done.
    const std::vector<Score>& scores() const { return scores_; }
    const PathTrie& trie() const { return trie_; }
    /// Most bytes of activations at a time, and those of statistics.
    std::size_t high_water() const { return walk_.high_water(); }
    const TrieWalk& tree_walk() const { return walk_; }
    std::size_t statistics_bytes() const { return kept_.used(); }

    /// Everything that a step changes: goes on to the same bits.
    struct State {
        std::int64_t step = 0;
        std::vector<double> statistics;  // of the calibrated norms, node by node
        std::vector<std::int64_t> hits;  // pictures, top 1, top 5 of each candidate
        std::vector<double> losses;      // of each candidate, summed over pictures
        std::vector<SafeTensor> tensors() const;
    };
    State state() const;
    /// After begin() with the same candidates. Throws Error(checkpoint) where it is of others.
    void restore(const State& state);
    static State read_state(const SafeTensors& file);

  private:
    bool calibrates() const { return options_.norms == NormPolicy::exact || options_.norms == NormPolicy::ema; }
    std::int64_t calibration_steps() const;
    std::int64_t evaluation_steps() const;
    std::int64_t slice_steps() const;
    bool do_step(const std::function<bool()>& stop);
    Tensor run(int node, const Tensor& x);
    /// Statistics of a node where a capture of its operator has them.
    std::span<PieceStatistics> place_of(const PathTrie::Node& node);
    Tensor compute(const ChainPiece& piece, const Tensor& x, const ChainPass& pass);
    void add_hits(int node, const Tensor& logits);
    void each_statistic(const std::function<void(const Tensor&)>& f) const;
    std::vector<double> read_statistics() const;
    void write_statistics(const std::vector<double>& values);

    ChainNet& net_;
    const HeldPictures* calibration_;
    const HeldPictures& evaluation_;
    ScoringOptions options_;
    TrieWalk walk_;
    Arena kept_, placed_;  // statistics of the nodes; places of operators'
    std::vector<chain::Architecture> candidates_;
    std::int64_t before_ = 0, step_ = 0;
    std::atomic<std::int64_t> passes_ = 0;
    PathTrie trie_;
    std::vector<PieceStatistics> statistics_;                                   // by node
    std::map<std::tuple<chain::Part, int, int, int>, PieceStatistics> places_;  // by piece, where there are captures
    std::vector<Score> scores_;
    // Of the step that runs:
    ChainPass pass_;
    LabelledBatch batch_;
    bool evaluating_ = false;
};

}  // namespace nascent
