// Steps of a search that leave the alphas alone, and candidates of random search.
#include "nas/algo/bilevel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "nas/algo/rsps.h"
#include "nas/algo/search_pictures.h"
#include "nas/supernet/initialise.h"

using namespace nascent;

namespace {

/// A smoke preset's search on two pictures a batch.
struct Search {
    SearchConfig config;
    Pictured pictures;
    std::unique_ptr<Device> device = make_device("cpu", 1);
    std::unique_ptr<SearchNet> net;
    BilevelTrainer trainer;
    explicit Search(const std::string& name, int begin = 0)
        : config(small(name, begin)),
          pictures(config),
          net(space_of(config).make_net(*device, DType::f32, settings_of(config, 10, 16))),
          trainer(*net, pictures.train(config), pictures.alpha(config), training_of(config)) {
        initialise(net->store(), 1);
    }
    static SearchConfig small(const std::string& name, int begin) {
        SearchConfig c = preset(name);
        c.train.batch = 2;
        c.arch.begin = begin;
        return c;
    }
    /// Of everything but the alphas.
    std::string weights() {
        std::string all;
        const std::vector<int> alphas = net->alphas();
        for (int p = 0; p < static_cast<int>(net->store().parameters().size()); p++) {
            const Tensor t = net->store().raw(p);
            if (std::find(alphas.begin(), alphas.end(), p) == alphas.end())
                all.append(static_cast<const char*>(t.data), t.bytes());
        }
        return all;
    }
};

}  // namespace

TEST_CASE("batches are counted as running statistics see them, in a warm-up too") {
    for (const auto& [name, begin, passes] : {std::tuple{"smoke/nb201-1st", 0, 2},
                                              {"smoke/darts-2nd", 0, 4},
                                              {"smoke/snas-darts", 0, 1},
                                              {"smoke/pcdarts", 0, 2},
                                              {"smoke/pcdarts", 1, 1}}) {
        CAPTURE(name);
        Search search(name, begin);
        for (int step = 1; step <= 2; step++) {
            search.trainer.step();
            CHECK(search.trainer.batches() == step * passes);
        }
    }
}

TEST_CASE("a step may leave the alphas alone") {
    for (const char* name : {"smoke/darts-1st", "smoke/darts-2nd", "smoke/nb201-1st", "smoke/pcdarts", "smoke/drnas",
                             "smoke/gdas", "smoke/gdas-darts", "smoke/snas", "smoke/snas-darts"}) {
        CAPTURE(name);
        Search search(name), both(name);
        const auto alphas = search.trainer.alphas();
        const std::string weights = search.weights();
        const BilevelTrainer::Step step = search.trainer.step(false);
        CHECK(search.trainer.alphas() == alphas);
        CHECK(search.weights() != weights);
        CHECK(step.arch_loss == 0);
        CHECK(step.score.pictures == 2);
        CHECK(search.trainer.step_number() == 1);
        const double loss = both.trainer.step().score.mean_loss();
        CHECK(both.trainer.alphas() != alphas);
        // Where the weights move first they do as without the alphas.
        if (search.config.arch.turn == "last") {
            CHECK(step.score.mean_loss() == loss);
            CHECK(both.weights() == search.weights());
        }
        search.trainer.step();
        CHECK(search.trainer.alphas() != alphas);
    }
}

TEST_CASE("an epoch's evaluation is that of its own batches") {
    Search search("smoke/darts-1st");
    const BatchSource source = search.pictures.valid(search.config);
    REQUIRE(source.steps_per_epoch > 1);
    const auto never = [] { return false; };
    for (std::int64_t epoch : {0, 2}) {
        Score sum;
        for (std::int64_t i = 0; i < source.steps_per_epoch; i++) {
            const Score batch = search.trainer.evaluate_candidate(source, epoch * source.steps_per_epoch + i);
            sum.add(batch.mean_loss(), batch);
        }
        const Score all = search.trainer.evaluate(source, epoch, never);
        CHECK(all.pictures == static_cast<std::int64_t>(search.pictures.halves.valid.size()));
        CHECK(all.top1 == sum.top1);
        CHECK(all.top5 == sum.top5);
        CHECK(all.loss == doctest::Approx(sum.loss).epsilon(1e-13));
    }
    int batches = 0;
    const Score stopped = search.trainer.evaluate(source, 0, [&] { return ++batches > 1; });
    CHECK(stopped.pictures == 2);
}

TEST_CASE("a label is hit among the first of seven different logits where sorting puts it there") {
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const Tensor logits = empty({1, 7}, DType::f32), label = empty({1}, DType::i32);
    for (int factor = 1; factor < 7; factor++)
        for (int first = 0; first < 7; first++) {
            std::array<float, 7> row{};
            for (int c = 0; c < 7; c++) row[static_cast<std::size_t>(c)] = static_cast<float>((first + c * factor) % 7);
            device->copy_in(logits.data, row.data(), logits.bytes());
            for (std::int32_t wanted = 0; wanted < 7; wanted++) {
                device->copy_in(label.data, &wanted, label.bytes());
                const Score s = hits(logits, label);
                CHECK(s.top1 == (row[static_cast<std::size_t>(wanted)] == 6));
                CHECK(s.top5 == (row[static_cast<std::size_t>(wanted)] >= 2));
            }
        }
}

TEST_CASE("operators are chosen uniformly, edge by edge") {
    constexpr int kDraws = 3000, edges = 6, operators = 5;
    ArchDraw draw{7};
    std::array<std::array<int, operators>, edges> hits{};
    int equal = 0;
    for (int number = 0; number < kDraws; number++) {
        draw.begin(Pass::weights, 0, number);
        const std::vector<int> chosen = uniform_choice(draw, 0, edges, operators);
        REQUIRE(chosen.size() == edges);
        for (std::size_t e = 0; e < edges; e++) hits[e].at(static_cast<std::size_t>(chosen[e]))++;
        equal += chosen[0] == chosen[1];
        CHECK(uniform_choice(draw, 0, edges, operators) == chosen);
        // Edge e's is element e of the matrix's draws in the architectures' stream.
        for (std::uint32_t e = 0; e < edges; e++) {
            const Random r(7, RandomStream::architecture, draw.step, ArchDraw::first(0) + e);
            CHECK(chosen[e] == static_cast<int>(r.below(0, operators)));
        }
    }
    // 600 expected of each, deviation 22.
    for (const auto& edge : hits)
        for (int n : edge) CHECK(std::abs(n - kDraws / operators) < 5 * 22);
    CHECK(std::abs(equal - kDraws / operators) < 5 * 22);
}

TEST_CASE("of random candidates the one that classifies the largest share of its batch is chosen") {
    Search search("smoke/rsps");
    const AlphaMatrix matrix = space_of(search.config).matrices().at(0);
    const BatchSource source = search.pictures.valid(search.config);
    const auto never = [] { return false; };
    const auto seed = static_cast<std::uint64_t>(search.config.run.seed);
    auto share = [&](std::int64_t number) {
        const Score s = search.trainer.evaluate_candidate(source, number);
        return static_cast<double>(s.top1) / static_cast<double>(s.pictures);
    };
    bool one_hit = false, some_missed = false;
    for (const auto& [epoch, count] : {std::pair{0, 1}, {0, 12}, {2, 12}, {5, 7}, {9, 3}}) {
        std::int64_t best = epoch * count;
        for (std::int64_t number = best; number < epoch * count + count; number++) {
            if (share(number) > share(best)) best = number;
            some_missed = some_missed || share(number) < share(best);
        }
        one_hit = one_hit || share(best) > 0;
        const auto found = choose_candidate(search.trainer, source, seed, epoch, count, matrix, never);
        REQUIRE(found);
        ArchDraw draw{seed};
        draw.begin(Pass::selection, epoch, best);
        CHECK(found->chosen == uniform_choice(draw, 0, 6, 5));
        CHECK(static_cast<double>(found->score.top1) / static_cast<double>(found->score.pictures) == share(best));
    }
    CHECK(one_hit);
    CHECK(some_missed);
    CHECK(!choose_candidate(search.trainer, source, seed, 0, 3, matrix, [] { return true; }));
    CHECK(!choose_candidate(search.trainer, source, seed, 0, 0, matrix, never));
}
