// Steps of a search that leave the alphas alone.
#include "nas/algo/bilevel.h"

#include <doctest/doctest.h>

#include <cstring>

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
