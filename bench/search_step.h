// Timed steps of a search by gradients with a preset's settings, on synthetic pictures of 32x32: what the step programs
// of the spaces share. The loaders prepare the batches on threads of their own meanwhile and are counted.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "bench/step_timing.h"
#include "nas/algo/search_pictures.h"
#include "nas/supernet/initialise.h"

namespace nascent::bench {

/// The preset of --space, by its name there (one alone needs no --space); where there are two, its name without -1st
/// and -2nd. The alphas move from the first step on. --step: `weights` is forward, loss, backward, clip and SGD of the
/// weights alone (the alphas' gradients are computed where the preset's clipping counts them); `first` and `second` are
/// whole steps of that order. high_water: activations, gradients (those of parameters too) and scratch, and second
/// weights; not the weights and optimizers' buffers, which are there between steps.
inline int time_search_steps(int argc, char** argv, const std::map<std::string, std::string>& presets) {
    CLI::App app{"Times steps of a search by gradients; prints one line of JSON."};
    StepArguments arguments(app, true);
    std::string kind = "weights", name = presets.begin()->second;
    if (presets.size() > 1) app.add_option("--space", name)->required()->transform(CLI::Transformer(presets));
    app.add_option("--step", kind)->check(CLI::IsMember({"weights", "first", "second"}));
    CLI11_PARSE(app, argc, argv);

    const int order = kind == "second" ? 2 : 1;
    const std::string ordered = name + (order == 2 ? "-2nd" : "-1st");
    const std::vector<std::string>& known = preset_names();
    SearchConfig config = preset(std::find(known.begin(), known.end(), ordered) != known.end() ? ordered : name);
    config.arch.order = order;
    config.arch.begin = 0;
    config.data.source = "synthetic";
    config.data.split = "half";
    config.data.norm = "auto";
    config.train.batch = arguments.batch;
    config.run.seed = static_cast<std::int64_t>(arguments.seed);
    check(config);
    Pictured pictures(config);
    StepTiming timing(arguments);
    const auto net = space_of(config).make_net(timing.device(), DType::f32,
                                               settings_of(config, pictures.set.classes, square_side(pictures.set)));
    ParameterStore& store = net->store();
    initialise(store, arguments.seed, config.net.bn_gamma == "ones" ? GammaStart::ones : GammaStart::uniform);
    BilevelTrainer trainer(*net, pictures.train(config), pictures.alpha(config), training_of(config));
    timing.run([&] { return trainer.step(kind != "weights").score.mean_loss(); },
               [&] { return trainer.wait_seconds(); });
    std::size_t gradients = 0;
    for (const ParameterRange& r : store.ranges())
        if (r.gradient) gradients += r.count * size_of(store.dtype());
    fmt::print("{}\n", timing.result()
                           .add("step", kind)
                           .add("high_water", trainer.high_water() + gradients + trainer.second_bytes())
                           .add("activations", trainer.high_water())
                           .add("parameter_gradients", gradients)
                           .add("second_weights", trainer.second_bytes())
                           .text());
    return 0;
}

}  // namespace nascent::bench
