#include "nas/algo/candidate_scores.h"

#include <algorithm>
#include <array>

#include "engine/autograd/execution.h"
#include "engine/memory/arena_place.h"
#include "nas/space/nearest_name.h"
#include "ops/constants.h"
#include "ops/copy.h"
#include "ops/reference.h"

namespace nascent {
namespace {

constexpr std::array<std::string_view, 4> kPolicies = {"exact", "ema", "batch", "none"};
constexpr double kEma = 0.1;  // torch's momentum

std::int64_t batches(std::size_t pictures, int batch) {
    return (static_cast<std::int64_t>(pictures) + batch - 1) / batch;
}
int batch_count(std::size_t pictures, int batch, std::int64_t i) {
    return static_cast<int>(std::min<std::int64_t>(batch, static_cast<std::int64_t>(pictures) - i * batch));
}

/// Hits and the mean loss of a batch.
void add(Score& to, const Tensor& logits, const LabelledBatch& batch) {
    to.add(read_scalar(cross_entropy(logits, batch.labels)), hits(logits, batch.labels));
}

/// All means and variances: ChainNet::statistics() puts them one behind the other.
Tensor whole(const PieceStatistics& piece) {
    Tensor all = piece.front().mean;
    std::int64_t channels = 0;
    for (const NormStatistics& s : piece) channels += s.mean.shape[0];
    all.shape = {2 * channels};
    const auto end = static_cast<const std::byte*>(all.data) + all.bytes();
    const Tensor& last = piece.back().variance;
    NASCENT_CHECK(static_cast<const std::byte*>(last.data) + last.bytes() == end, runtime,
                  "statistics of a piece are not in one place");
    return all;
}

}  // namespace

NormPolicy norm_policy(std::string_view name) {
    return static_cast<NormPolicy>(index_of_name("policy of statistics", name, kPolicies));
}
std::string_view name_of(NormPolicy policy) { return kPolicies[static_cast<std::size_t>(policy)]; }

CandidateScores::CandidateScores(ChainNet& net, const HeldPictures* calibration, const HeldPictures& evaluation,
                                 const ScoringOptions& options)
    : net_(net),
      calibration_(calibration),
      evaluation_(evaluation),
      options_(options),
      walk_(net.store().device(), options.walk),
      kept_(net.store().device()),
      placed_(net.store().device()) {
    const ScoringOptions& o = options_;
    NASCENT_CHECK(o.batch > 0 && o.calibration_batch > 0, usage, "batches of {} and {} pictures", o.calibration_batch,
                  o.batch);
    NASCENT_CHECK(evaluation.count() >= static_cast<std::size_t>(o.batch), usage,
                  "the evaluation set has {} pictures, fewer than the {} of a batch (--search-batch)",
                  evaluation.count(), o.batch);
    NASCENT_CHECK(o.slice <= evaluation.count(), usage,
                  "the evaluation set has {} pictures, fewer than the {} of a "
                  "slice (--pictures)",
                  evaluation.count(), o.slice);
    NASCENT_CHECK(!calibrates() || calibration, usage, "statistics '{}' need calibration pictures", name_of(o.norms));
}

std::int64_t CandidateScores::calibration_steps() const {
    return calibrates() ? batches(calibration_->count(), options_.calibration_batch) : 0;
}
std::int64_t CandidateScores::slice_steps() const { return batches(options_.slice, options_.batch); }
std::int64_t CandidateScores::evaluation_steps() const {
    if (options_.slice == 0) return batches(evaluation_.count(), options_.batch);
    return slice_steps() * static_cast<std::int64_t>(candidates_.size());
}

void CandidateScores::begin(std::vector<chain::Architecture> candidates, std::int64_t before) {
    trie_ = PathTrie(net_, candidates, options_.share_prefixes);
    candidates_ = std::move(candidates);
    before_ = before;
    step_ = 0;
    scores_.assign(candidates_.size(), {});
    kept_.reset();
    statistics_.clear();
    if (!calibrates()) return;
    for (const PathTrie::Node& node : trie_.nodes) statistics_.push_back(net_.statistics(node.piece, kept_));
}

std::span<PieceStatistics> CandidateScores::place_of(const PathTrie::Node& node) {
    const ChainPiece& p = node.piece;
    const auto [at, is_new] = places_.try_emplace({p.part, p.block, p.op, p.scale});
    if (is_new) at->second = net_.statistics(p, placed_);
    return {&at->second, 1};
}

Tensor CandidateScores::compute(const ChainPiece& p, const Tensor& x, const ChainPass& pass) {
    if (p.part == chain::Part::stem) return net_.stem(x, pass);
    if (p.part == chain::Part::head) return net_.head(x, pass);
    return net_.block(p.block, p.op, p.scale, x, pass);
}

Tensor CandidateScores::run(int node, const Tensor& x) {
    const auto i = static_cast<std::size_t>(node);
    const PathTrie::Node& n = trie_.nodes[i];
    ChainPass pass = pass_;
    if (!calibrates()) return compute(n.piece, x, pass);
    pass.statistics = std::span(statistics_).subspan(i, 1);
    if (!walk_.segments() || statistics_[i].empty()) return compute(n.piece, x, pass);
    const Tensor own = whole(statistics_[i]);
    pass.statistics = place_of(n);
    const Tensor place = whole(pass.statistics[0]);
    copy_into(place, own);
    const Tensor y = compute(n.piece, x, pass);
    if (!evaluating_) copy_into(own, place);
    return y;
}

void CandidateScores::add_hits(int node, const Tensor& logits) {
    const PathTrie::Node& leaf = trie_.nodes[static_cast<std::size_t>(node)];
    passes_ += batch_.pictures() * static_cast<std::int64_t>(leaf.candidates.size());
    if (!evaluating_ || leaf.candidates.empty()) return;
    for (int c : leaf.candidates) add(scores_[static_cast<std::size_t>(c)], logits, batch_);
}

bool CandidateScores::do_step(const std::function<bool()>& stop) {
    const TrieWalk::Work work{[this](int node, const Tensor& x) { return run(node, x); },
                              [this](int node, const Tensor& y) { add_hits(node, y); }, stop};
    const auto pictures = [&](const HeldPictures& held, std::size_t first, int count) {
        return [this, &held, first, count] {
            batch_ = held.batch(first, count);
            return batch_.x;
        };
    };
    evaluating_ = step_ >= calibration_steps();
    if (!evaluating_) {
        const auto size = static_cast<std::int64_t>(options_.calibration_batch);
        const int n = batch_count(calibration_->count(), options_.calibration_batch, step_);
        const bool pooled = options_.norms == NormPolicy::exact;
        pass_.norms = pooled ? NormMode::pooled : NormMode::training;
        pass_.momentum = pooled ? static_cast<double>(n) / static_cast<double>(step_ * size + n) : kEma;
        return walk_.walk(trie_, pictures(*calibration_, static_cast<std::size_t>(step_ * size), n), work);
    }
    pass_.norms = options_.norms == NormPolicy::batch ? NormMode::batch : NormMode::running;
    const std::int64_t step = step_ - calibration_steps();
    if (options_.slice == 0) {
        const int n = batch_count(evaluation_.count(), options_.batch, step);
        return walk_.walk(trie_, pictures(evaluation_, static_cast<std::size_t>(step * options_.batch), n), work);
    }
    const std::int64_t candidate = step / slice_steps(), i = step % slice_steps();
    const std::size_t first = static_cast<std::size_t>(before_ + candidate) * options_.slice;
    const int n = batch_count(options_.slice, options_.batch, i);
    const TrieWalk::Work alone{work.run,
                               [&](int, const Tensor& y) {
                                   passes_ += n;
                                   add(scores_[static_cast<std::size_t>(candidate)], y, batch_);
                               },
                               stop};
    return walk_.walk_path(trie_.paths[static_cast<std::size_t>(candidate)],
                           pictures(evaluation_, first + static_cast<std::size_t>(i * options_.batch), n), alone);
}

bool CandidateScores::step(const std::function<bool()>& stop) {
    NASCENT_CHECK(!done(), usage, "all candidates are scored");
    // A copy of what the step changes costs nothing beside the step on a CPU; on a GPU a step takes no time.
    const bool stoppable = net_.store().device().kind() == DeviceKind::cpu;
    const State before = stoppable ? state() : State{};
    const std::int64_t passes = passes_;
    if (!do_step(stoppable ? stop : [] { return false; })) {
        restore(before);
        passes_ = passes;
        return false;
    }
    step_++;
    return true;
}

void CandidateScores::each_statistic(const std::function<void(const Tensor&)>& f) const {
    for (const PieceStatistics& piece : statistics_)
        for (const NormStatistics& norm : piece) {
            f(norm.mean);
            f(norm.variance);
        }
}

std::vector<double> CandidateScores::read_statistics() const {
    std::vector<double> values;
    each_statistic([&](const Tensor& t) {
        const std::vector<double> own = numbers_of(t);
        values.insert(values.end(), own.begin(), own.end());
    });
    return values;
}

void CandidateScores::write_statistics(const std::vector<double>& values) {
    std::size_t at = 0;
    each_statistic([&](const Tensor& t) {
        write_numbers(t, std::span(values).subspan(at, t.size()));
        at += t.size();
    });
}

CandidateScores::State CandidateScores::state() const {
    State s;
    s.step = step_;
    s.statistics = read_statistics();
    for (const Score& score : scores_) {
        s.hits.insert(s.hits.end(), {score.pictures, score.top1, score.top5});
        s.losses.push_back(score.loss);
    }
    return s;
}

void CandidateScores::restore(const State& s) {
    std::size_t wanted = 0;
    each_statistic([&](const Tensor& t) { wanted += t.size(); });
    NASCENT_CHECK(s.statistics.size() == wanted && s.hits.size() == 3 * scores_.size() &&
                      s.losses.size() == scores_.size() && s.step >= 0 && s.step <= steps(),
                  checkpoint,
                  "scores of other candidates: {} statistics, {} numbers of hits, step {}; expected {}, {}, "
                  "0..{}",
                  s.statistics.size(), s.hits.size(), s.step, wanted, 3 * scores_.size(), steps());
    step_ = s.step;
    write_statistics(s.statistics);
    for (std::size_t c = 0; c < scores_.size(); c++) {
        scores_[c] = {};
        scores_[c].loss = s.losses[c];
        scores_[c].pictures = s.hits[3 * c];
        scores_[c].top1 = s.hits[3 * c + 1];
        scores_[c].top5 = s.hits[3 * c + 2];
    }
}

std::vector<SafeTensor> CandidateScores::State::tensors() const {
    return {safe_tensor("search.statistics", {static_cast<std::int64_t>(statistics.size())}, std::span(statistics)),
            safe_tensor("search.hits", {static_cast<std::int64_t>(hits.size())}, std::span(hits)),
            safe_tensor("search.losses", {static_cast<std::int64_t>(losses.size())}, std::span(losses)),
            safe_tensor("search.step", {1}, std::span(&step, 1))};
}

CandidateScores::State CandidateScores::read_state(const SafeTensors& file) {
    State s;
    const auto sized = [&](const char* name, auto& into) {
        const SafeTensor* t = file.find(name);
        NASCENT_CHECK(t && t->shape.size() == 1, checkpoint, "{}: expected a list called {}", file.path(), name);
        into.resize(static_cast<std::size_t>(t->shape[0]));
        file.copy(name, std::span(into));
    };
    sized("search.statistics", s.statistics);
    sized("search.hits", s.hits);
    sized("search.losses", s.losses);
    file.copy("search.step", std::span(&s.step, 1));
    return s;
}

}  // namespace nascent
