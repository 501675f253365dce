// Candidates of supernets scored as a tree: against plain passes, with and without sharing, interrupted and resumed.
#include "nas/algo/candidate_scores.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/autograd/execution.h"
#include "tests/nas/candidate_setting.h"

using namespace nascent;
using namespace nascent::testing;
using namespace nascent::test;

namespace {

/// As anyone would: each candidate by itself, pass after pass.
Score plainly(Setting& s, const chain::Architecture& arch, const ScoringOptions& o, std::size_t first) {
    Arena arena(*s.device), kept(*s.device);
    std::vector<PieceStatistics> statistics = s.net.statistics(arch, kept);
    ChainPass pass;
    if (o.norms == NormPolicy::exact || o.norms == NormPolicy::ema) {
        pass.statistics = statistics;
        pass.norms = o.norms == NormPolicy::exact ? NormMode::pooled : NormMode::training;
        for (std::size_t at = 0; at < s.calibration->count();) {
            arena.reset();
            ExecutionScope execution(arena);
            const int n =
                static_cast<int>(std::min(static_cast<std::size_t>(o.calibration_batch), s.calibration->count() - at));
            pass.momentum =
                o.norms == NormPolicy::ema ? 0.1 : n / static_cast<double>(at + static_cast<std::size_t>(n));
            (void)s.net.forward(s.calibration->batch(at, n).x, arch, pass);
            at += static_cast<std::size_t>(n);
        }
    }
    pass.norms = o.norms == NormPolicy::batch ? NormMode::batch : NormMode::running;
    const std::size_t all = o.slice > 0 ? o.slice : s.evaluation->count();
    Score score;
    for (std::size_t at = 0; at < all;) {
        arena.reset();
        ExecutionScope execution(arena);
        const int n = static_cast<int>(std::min(static_cast<std::size_t>(o.batch), all - at));
        const LabelledBatch batch = s.evaluation->batch(first + at, n);
        const Tensor logits = s.net.forward(batch.x, arch, pass);
        score.add(read_scalar(cross_entropy(logits, batch.labels)), hits(logits, batch.labels));
        at += static_cast<std::size_t>(n);
    }
    return score;
}

}  // namespace

TEST_CASE("candidates scored as a tree have the scores of each by itself, to the bit") {
    for (const char* name : {"shufflenet", "mobilenet", "shufflenet-channels"}) {
        CAPTURE(name);
        Setting s(name);
        const std::vector<chain::Architecture> candidates = related(s.space, 5);
        for (NormPolicy norms : {NormPolicy::exact, NormPolicy::ema, NormPolicy::batch, NormPolicy::none}) {
            CAPTURE(name_of(norms));
            ScoringOptions o;
            o.norms = norms;
            o.calibration_batch = 16;  // 40 pictures: the last batch is smaller
            o.batch = 20;
            CandidateScores shared = s.scores(o);
            shared.begin(candidates, 0);
            const bool calibrates = norms == NormPolicy::exact || norms == NormPolicy::ema;
            CHECK(shared.steps() == (calibrates ? 3 : 0) + 3);
            run(shared);
            o.share_prefixes = false;
            CandidateScores alone = s.scores(o);
            alone.begin(candidates, 0);
            run(alone);
            CHECK(alone.trie().nodes.size() == candidates.size() * (s.space.blocks.size() + 2));
            CHECK(shared.trie().nodes.size() < alone.trie().nodes.size());
            check_same(shared.scores(), alone.scores());
            for (std::size_t i = 0; i < candidates.size(); i++)
                check_same({shared.scores()[i]}, {plainly(s, candidates[i], o, 0)});
            CHECK(shared.scores()[0].pictures == 50);
            CHECK(shared.scores()[0].loss != shared.scores()[1].loss);
            CHECK(shared.passes() == static_cast<std::int64_t>(5 * (50 + (calibrates ? 40 : 0))));
            // Scoring is no training.
            CHECK(s.net.batch_counts()[0].count == s.passes);
        }
    }
}

TEST_CASE("candidates that threads compute side by side have the scores of each by itself, to the bit") {
    for (const char* name : {"shufflenet", "mobilenet", "shufflenet-channels"}) {
        CAPTURE(name);
        Setting s(name, 40, 50, DType::f32, make_device("cpu", 3));
        const std::vector<chain::Architecture> candidates = related(s.space, 7);
        for (NormPolicy norms : {NormPolicy::exact, NormPolicy::batch}) {
            CAPTURE(name_of(norms));
            ScoringOptions o;
            o.norms = norms;
            o.calibration_batch = 16;
            o.batch = 20;
            CandidateScores in_turn = s.scores(o);
            in_turn.begin(candidates, 0);
            run(in_turn);
            const int last = static_cast<int>(s.space.blocks.size()) + 1;
            for (const auto& [together, shared] : {std::pair(0, 1), {2, 0}, {4, 5}, {3, last}, {2, last + 1}}) {
                CAPTURE(together);
                CAPTURE(shared);
                o.walk.together = together;
                o.walk.shared = shared;
                CandidateScores all = s.scores(o);
                all.begin(candidates, 0);
                // Stopped in the middle, by whichever thread asks then, and done again.
                int calls = 0;
                CHECK(!all.step([&] { return ++calls > 40; }));
                CHECK(all.state().statistics == [&] {
                    CandidateScores fresh = s.scores(o);
                    fresh.begin(candidates, 0);
                    return fresh.state().statistics;
                }());
                run(all);
                check_same(all.scores(), in_turn.scores());
                CHECK(all.passes() == in_turn.passes());
            }
        }
    }
}

TEST_CASE("in slices each candidate sees the next pictures, behind the last the first again") {
    Setting s("shufflenet");
    ScoringOptions o;
    o.calibration_batch = 20;
    o.batch = 8;
    o.slice = 20;
    CandidateScores scores = s.scores(o);
    const std::vector<chain::Architecture> candidates = related(s.space, 4);
    scores.begin(candidates, 3);
    CHECK(scores.steps() == 2 + 4 * 3);
    run(scores);
    for (std::size_t i = 0; i < candidates.size(); i++)
        check_same({scores.scores()[i]}, {plainly(s, candidates[i], o, (3 + i) * 20)});
    CHECK(scores.scores()[2].pictures == 20);
    o.slice = 51;
    CHECK_THROWS_WITH_AS(s.scores(o), doctest::Contains("fewer than the 51 of a slice"), Error);
}

TEST_CASE("scoring that is stopped in a batch, or goes on elsewhere, comes to the same bits") {
    Setting s("shufflenet"), other("shufflenet");
    ScoringOptions o;
    o.calibration_batch = 16;
    o.batch = 20;
    const std::vector<chain::Architecture> candidates = related(s.space, 4);
    for (NormPolicy norms : {NormPolicy::exact, NormPolicy::ema}) {
        o.norms = norms;
        CandidateScores whole = s.scores(o);
        whole.begin(candidates, 0);
        run(whole);
        CandidateScores again = s.scores(o);
        again.begin(candidates, 0);
        std::vector<CandidateScores::State> states;
        for (int i = 0; !again.done(); i++) {
            // At another moment of each batch: nothing has happened then.
            const CandidateScores::State before = again.state();
            int calls = 0;
            CHECK(!again.step([&] { return ++calls > 7 * (i % 3); }));
            CHECK(again.state().statistics == before.statistics);
            CHECK(again.state().hits == before.hits);
            CHECK(again.state().losses == before.losses);
            states.push_back(before);
            CHECK(again.step());
        }
        check_same(again.scores(), whole.scores());
        CHECK(again.passes() == whole.passes());
        for (const CandidateScores::State& state : states) {
            CandidateScores on = other.scores(o);
            on.begin(candidates, 0);
            on.restore(state);
            run(on);
            check_same(on.scores(), whole.scores());
        }
        CandidateScores wrong = s.scores(o);
        wrong.begin(related(s.space, 3), 0);
        CHECK_THROWS_WITH_AS(wrong.restore(states[1]), doctest::Contains("scores of other candidates"), Error);
    }
}

TEST_CASE("a tree of candidates has their common prefixes once") {
    Setting s("shufflenet");
    chain::Architecture a = random_path(s.space, 1), b = a, c = a;
    b.ops[3] = (a.ops[3] + 1) % 4;
    c.ops[19] = (a.ops[19] + 1) % 4;
    const std::vector<chain::Architecture> all{a, b, c, a};
    const PathTrie trie(s.net, all, true);
    std::vector<int> expected(22, 2);
    for (std::size_t i = 0; i < 4; i++) expected[i] = 1;  // stem, blocks 0 to 2
    expected[20] = expected[21] = 3;                      // the last block, the head
    CHECK(trie.width() == expected);
    CHECK(trie.paths[0] == trie.paths[3]);
    CHECK(trie.nodes[static_cast<std::size_t>(trie.paths[0].back())].candidates == std::vector<int>{0, 3});
    CHECK(PathTrie(s.net, all, false).width() == std::vector<int>(22, 4));
}

TEST_CASE("an evaluation set smaller than a batch is refused") {
    Setting s("shufflenet");
    ScoringOptions o;
    o.batch = 51;
    CHECK_THROWS_WITH_AS(s.scores(o), doctest::Contains("50 pictures, fewer than the 51 of a batch"), Error);
    CHECK_THROWS_WITH_AS((CandidateScores{s.net, nullptr, *s.evaluation, {.batch = 20}}),
                         doctest::Contains("need calibration pictures"), Error);
    CHECK_THROWS_WITH_AS(norm_policy("exakt"), doctest::Contains("nearest: exact"), Error);
}

TEST_CASE("held pictures are what a loader gives") {
    Setting s("shufflenet");
    const Normalisation norm = normalisation("half", s.set);
    HeldRequest r;
    r.training = true;
    r.seed = 9;
    r.ids = first_shuffled(1, 0, 60, 40);
    CHECK(r.ids.size() == 40);
    r.count = 100;  // two and a half times around: other crops each time
    const HeldPictures held(*s.device, DType::f32, s.set.train, 10, norm, r);
    CHECK(held.bytes() == 100 * 32 * 32 * 3);
    LoaderOptions o;
    o.seed = 9;
    o.batch_size = 40;
    o.order = BatchOrder::in_order;
    Loader<float> loader(s.set.train, r.ids, 10, norm, o);
    Arena arena(*s.device);
    ExecutionScope execution(arena);
    Batch<float> batch;
    for (std::uint64_t step = 0; step < 3; step++) {
        loader.batch(step, batch);
        const int n = step == 2 ? 20 : 40;
        const LabelledBatch mine = held.batch(40 * step, n);
        const std::span<const float> pixels = mine.x.span<float>();
        CHECK(std::equal(pixels.begin(), pixels.end(), batch.pixels.begin()));
        const std::span<const std::int32_t> labels = mine.labels.span<std::int32_t>();
        CHECK(std::equal(labels.begin(), labels.end(), batch.labels.begin()));
    }
    const LabelledBatch around = held.batch(90, 20), first = held.batch(0, 10);
    const std::size_t values = 10 * 32 * 32 * 3;
    CHECK(std::equal(around.x.span<float>().begin() + values, around.x.span<float>().end(),
                     first.x.span<float>().begin()));
}

TEST_CASE("of activations there is one for each depth, however many candidates") {
    Setting s("shufflenet");
    ScoringOptions o;
    o.norms = NormPolicy::none;
    o.batch = 50;
    std::size_t mark[2] = {};
    for (int many : {0, 1}) {
        CandidateScores scores = s.scores(o);
        scores.begin(related(s.space, many ? 6 : 1), 0);
        run(scores);
        mark[many] = scores.high_water();
    }
    // What a pass keeps for a backward: the outputs of all convolutions.
    Arena arena(*s.device);
    ExecutionScope execution(arena);
    std::size_t outputs = 0, largest = 0;
    Tensor y = s.evaluation->batch(0, 50).x;
    const std::size_t pictures = arena.used();
    const chain::Architecture path = related(s.space, 1)[0];
    const ChainPass pass{.norms = NormMode::running};
    y = s.net.stem(y, pass);
    for (std::size_t b = 0; b < path.ops.size(); b++) {
        const std::size_t before = arena.used();
        y = s.net.block(static_cast<int>(b), path.ops[b], chain::kUnscaled, y, pass);
        largest = std::max(largest, arena.used() - before);
        outputs += y.bytes() + 2 * Arena::alignment;
    }
    const std::size_t all = arena.used();
    CHECK(mark[0] < pictures + outputs + 2 * largest);
    CHECK(2 * mark[0] < all);
    // Other candidates have other operators, of at most twice the inner tensors.
    CHECK(mark[1] < pictures + outputs + 3 * largest);
}
