// Candidates of supernets scored on the gpu.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/gpu_device.h"
#include "tests/nas/candidate_setting.h"

using namespace nascent;
using namespace nascent::testing;
using namespace nascent::test;

TEST_CASE("candidates are scored on the gpu as on the cpu") {
    auto gpu = testing::gpu_device();
    if (!gpu) return;
    Setting there("shufflenet", 5, 4, DType::f64, std::move(gpu)), here("shufflenet", 5, 4, DType::f64),
        disturbed("shufflenet", 5, 4, DType::f64);
    const std::string first = disturbed.net.store().parameters().front().name;
    std::vector<double> weights = disturbed.net.get(first);
    for (double& w : weights) w *= 1 + 0x1p-48;
    disturbed.net.set(first, weights);
    const std::vector<chain::Architecture> candidates = related(here.space, 2);
    ScoringOptions o;
    o.calibration_batch = 3;
    o.batch = 4;
    CandidateScores a = there.scores(o), b = here.scores(o), d = disturbed.scores(o);
    a.begin(candidates, 0);
    b.begin(candidates, 0);
    d.begin(candidates, 0);
    REQUIRE(a.step());
    // In the middle of calibration the statistics go through the host and back.
    const CandidateScores::State state = a.state();
    a.begin(candidates, 0);
    a.restore(state);
    run(a);
    run(b);
    run(d);
    for (std::size_t i = 0; i < candidates.size(); i++) {
        // The last batch norms are over few numbers, so that rounding grows: by how much, disturbed weights say.
        const double size = b.scores()[i].loss, moves = std::fabs(d.scores()[i].loss - size);
        CHECK(moves < 1e-6 * size);
        CHECK(std::fabs(a.scores()[i].loss - size) <= 1e-12 * size + 64 * moves);
        CHECK(a.scores()[i].top1 == b.scores()[i].top1);
        CHECK(a.scores()[i].top5 == b.scores()[i].top5);
    }
}

TEST_CASE("on the gpu what candidates compute is replayed from captures, to the same bits") {
    auto gpu = testing::gpu_device();
    if (!gpu) return;
    Setting s("shufflenet", 5, 4, DType::f64, std::move(gpu));
    const std::vector<chain::Architecture> candidates = related(s.space, 3);
    ScoringOptions o;
    o.calibration_batch = 3;
    o.batch = 4;
    for (NormPolicy norms : {NormPolicy::exact, NormPolicy::batch}) {
        CAPTURE(name_of(norms));
        o.norms = norms;
        std::int64_t launches[2] = {};
        std::vector<Score> scores[2][4];
        std::int64_t pieces = 0, replays = 0;
        for (int capture : {0, 1}) {
            o.walk.capture = capture;
            CandidateScores all = s.scores(o);
            REQUIRE((all.tree_walk().segments() != nullptr) == (capture == 1));
            for (int generation = 0; generation < 4; generation++) {
                const std::int64_t before = s.device->launches();
                // Other candidates in between: places of statistics and of activations are operators' and depths'.
                all.begin(generation == 1 ? related(s.space, 2) : candidates, 0);
                if (generation == 3 && capture) replays = all.tree_walk().segments()->replays();
                run(all);
                scores[capture][generation] = all.scores();
                if (generation < 3) continue;
                launches[capture] = s.device->launches() - before;
                pieces = static_cast<std::int64_t>(all.trie().nodes.size());
                if (capture) replays = all.tree_walk().segments()->replays() - replays;
            }
        }
        for (int generation = 0; generation < 4; generation++) check_same(scores[0][generation], scores[1][generation]);
        CHECK(scores[1][0][0].loss == scores[1][3][0].loss);
        const bool calibrates = norms == NormPolicy::exact;
        const std::int64_t batches = calibrates ? 3 : 1;
        // Each piece is one launch then; copies of its statistics are one, in calibration two more. Besides, pictures
        // and the candidates' losses.
        MESSAGE(name_of(norms), ": ", launches[0], " launches, with captures ", launches[1], " of ", pieces,
                " pieces in ", batches, " batches");
        CHECK(replays >= batches * pieces);
        CHECK(launches[1] <= (calibrates ? 3 * 2 + 2 : 1) * pieces + 3 * 8 + batches);
        CHECK(launches[0] > 2 * launches[1]);
    }
}
