// Settings of RLNAS's runs (CVPR 2021).
#include <algorithm>
#include <functional>
#include <utility>

#include "engine/base/error.h"
#include "nas/algo/rlnas_config.h"

namespace nascent {
namespace {

void darts_cifar10(RlnasConfig& c) {
    c.space = "darts";
    c.data.norm = "cifar10-darts";
    c.net.affine = true;
    c.train.nesterov = false;
    c.train.weight_decay = 3e-4;
    c.train.clip = 5;
    c.train.lr_step = "before";
    c.search.method = "both";
    c.search.population = 50;
    c.search.select = 10;
    c.search.mutation = 25;
    c.search.crossover = 25;
    c.run.seed = 1;
}

void smoke_darts(RlnasConfig& c) {
    darts_cifar10(c);
    c.data.source = "synthetic";
    c.data.norm = "auto";
    c.data.size = 8;
    c.data.synthetic_train = 128;
    c.net.channels = 4;
    c.net.layers = 3;
    c.train.epochs = 2;
    c.train.batch = 32;
}

const std::vector<std::pair<std::string, std::function<void(RlnasConfig&)>>>& presets() {
    static const std::vector<std::pair<std::string, std::function<void(RlnasConfig&)>>> all = {
        {"none", [](RlnasConfig&) {}},
        {"rlnas/nasbench201", [](RlnasConfig&) {}},  // the defaults
        {"rlnas/darts-cifar10", darts_cifar10},
        {"smoke/darts", smoke_darts},
    };
    return all;
}

}  // namespace

const std::vector<std::string>& rlnas_preset_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const auto& p : presets()) all.push_back(p.first);
        return all;
    }();
    return names;
}

RlnasConfig rlnas_preset(const std::string& name) {
    const auto found = std::find_if(presets().begin(), presets().end(), [&](const auto& p) { return p.first == name; });
    NASCENT_CHECK(found != presets().end(), usage, "no preset is called '{}'{}", name,
                  did_you_mean(name, rlnas_preset_names()));
    RlnasConfig config;
    found->second(config);
    config.preset = name;
    return config;
}

}  // namespace nascent
