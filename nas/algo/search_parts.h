// What a search run is made of, and where it stands.
#pragma once
#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "nas/algo/search_pictures.h"
#include "nas/algo/search_run.h"
#include "nas/metric/table.h"
#include "nas/supernet/training_state.h"

namespace nascent {

struct SearchRun::Parts {
    explicit Parts(const SearchConfig& c)
        : device(run_device(c.run, c.train.precision)),
          target(target_of(*device)),
          pictures(c),
          space(space_of(c)),
          stages(stages_of(c)),
          train(pictures.train(c)),
          alpha(pictures.alpha(c)),
          valid(pictures.valid(c)) {
        device->kernel_options.winograd = c.train.conv == "winograd";
        for (std::size_t s = 0; s < stages.size(); s++) space.check(settings(c, static_cast<int>(s)));
    }
    /// Network and trainer of the present stage; parameters are zero.
    void build(const SearchConfig& c) {
        trainer.reset();
        net = space.make_net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32, settings(c, stage));
        BilevelTraining training = training_of(c);
        training.rule.kept = kept;
        trainer = std::make_unique<BilevelTrainer>(*net, train, alpha, training);
    }
    SearchSettings settings(const SearchConfig& c, int of) const {
        SearchSettings s = settings_of(c, pictures.set.classes, square_side(pictures.set));
        s.partial = stages[static_cast<std::size_t>(of)].partial;
        return s;
    }
    TrainingState::BatchCounts* batch_counts() const {
        auto* nb201 = dynamic_cast<Nb201Supernet*>(net.get());
        return nb201 ? &nb201->batch_counts() : nullptr;
    }
    std::size_t high_water() const { return std::max(high_water_before, trainer->high_water()); }
    /// Where architectures are chosen among candidates, the one chosen is written as alphas too: those of one weight
    /// per edge.
    Alphas alphas() const {
        Alphas all = trainer->alphas();
        if (chosen.empty()) return all;
        const std::size_t operators = all[0].size() / chosen.size();
        for (std::size_t i = 0; i < all[0].size(); i++)
            all[0][i] = static_cast<std::size_t>(chosen[i / operators]) == i % operators ? 1 : 0;
        return all;
    }
    SearchSpace::Derived derived() const { return space.derive(alphas()); }

    std::unique_ptr<Device> device;
    std::string target;
    Pictured pictures;
    const SearchSpace& space;
    std::vector<Stage> stages;
    BatchSource train, alpha, valid;
    std::unique_ptr<SearchNet> net;
    std::unique_ptr<BilevelTrainer> trainer;
    std::size_t high_water_before = 0;  // of former stages
    std::optional<BenchmarkTable> table;
    std::string column;

    // Of the run, in its checkpoints.
    int recorded = 0;  // genotypes in the journal: of the starts of so many epochs, or also of the end
    int ended = 0;     // epochs
    int stage = 0;
    Kept kept;
    bool stopped = false, warned = false;
    Score epoch;  // of the weights' batches so far
    double arch_loss = 0;
    Score last_valid;
    std::vector<int> chosen;  // rsps: the architecture it has, edge by edge
};

}  // namespace nascent
