// Supernets whose candidates are scored.
#pragma once
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "engine/autograd/execution.h"
#include "nas/algo/candidate_scores.h"
#include "nas/data/dataset.h"
#include "nas/data/normalise.h"
#include "tests/nas/chain_networks.h"
#include "tests/nas/synthetic_pictures.h"

namespace nascent::test {

/// A supernet with weights that mean nothing, and pictures.
struct Setting {
    explicit Setting(const char* space_name, int train = 40, int test = 50, DType dtype = DType::f32,
                     std::unique_ptr<Device> on = make_device("cpu"))
        : space(testing::small_space(space_name)), device(std::move(on)), net(*device, dtype, chain::supernet(space)) {
        testing::fill_chain(net, 3);
        // Running statistics that mean something: of one batch, for each operator.
        Arena arena(*device);
        for (std::size_t i = 0; i < 7; i++) {
            ExecutionScope execution(arena);
            chain::Architecture path;
            for (const chain::Block& b : space.blocks) {
                path.ops.push_back(b.ops[i % b.ops.size()]);
                if (space.channels) path.scales.push_back(space.config.last_scale);
            }
            (void)net.forward(testing::chain_pictures(4, 32, dtype), path, {.momentum = 1});
            arena.reset();
        }
        passes = net.batch_counts()[0].count;
        set = synthetic_pictures(32, 60, 60, 4);
        const Normalisation norm = normalisation("half", set);
        HeldRequest r;
        r.training = true;
        r.ids = first_shuffled(1, 0, 60, 0);
        r.count = static_cast<std::size_t>(train);
        calibration = std::make_unique<HeldPictures>(*device, dtype, set.train, 10, norm, r);
        r.training = false;
        r.count = static_cast<std::size_t>(test);
        evaluation = std::make_unique<HeldPictures>(*device, dtype, set.test, 10, norm, r);
    }
    CandidateScores scores(const ScoringOptions& o) { return {net, calibration.get(), *evaluation, o}; }

    chain::Space space;
    std::unique_ptr<Device> device;
    ChainNet net;
    std::int64_t passes = 0;  // of training
    Dataset set;
    std::unique_ptr<HeldPictures> calibration, evaluation;
};

/// `count` paths, of which each begins as one before it does.
inline std::vector<chain::Architecture> related(const chain::Space& space, std::uint32_t count) {
    std::vector<chain::Architecture> all;
    for (std::uint32_t i = 0; i < count; i++) {
        chain::Architecture arch = testing::random_path(space, i);
        if (i > 0)
            for (std::size_t b = 0; b < (5 * i) % arch.ops.size(); b++) {
                arch.ops[b] = all[i / 2].ops[b];
                if (space.channels) arch.scales[b] = all[i / 2].scales[b];
            }
        all.push_back(arch);
    }
    return all;
}

inline void run(CandidateScores& scores) {
    while (!scores.done()) REQUIRE(scores.step());
}

inline void check_same(const std::vector<Score>& a, const std::vector<Score>& b) {
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); i++) {
        CHECK(a[i].loss == b[i].loss);
        CHECK(a[i].pictures == b[i].pictures);
        CHECK(a[i].top1 == b[i].top1);
        CHECK(a[i].top5 == b[i].top5);
    }
}

}  // namespace nascent::test
