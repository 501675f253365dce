// Settings of published searches: DARTS (ICLR 2019) on CIFAR-10, and on NAS-Bench-201 as its paper (ICLR 2020) ran it.
#include <array>
#include <functional>

#include "engine/base/error.h"
#include "nas/algo/search_config.h"

namespace nascent {
namespace {

void darts_cifar10(SearchConfig& c, int order) {
    c.data.split = "half";
    c.data.norm = "cifar10-darts";
    c.arch.order = order;
    c.run.seed = 2;
}

void darts_nb201(SearchConfig& c, int order) {
    c.space = "nasbench201";
    c.data.split = "nb201";
    c.data.norm = "cifar10";
    c.net.bn_gamma = "ones";
    c.train.nesterov = true;
    c.train.weight_decay = 5e-4;
    c.arch.order = order;
    c.arch.batches = "pairs";
    c.arch.turn = order == 1 ? "last" : "first";
    c.arch.in_clip = true;
    c.valid.augment = false;
}

/// Seconds on two cores, on pictures made from the seed.
void smoke(SearchConfig& c) {
    c.data.source = "synthetic";
    c.data.split = "half";
    c.data.norm = "auto";
    c.data.size = 16;
    c.data.synthetic_train = 128;
    c.data.synthetic_test = 16;
    c.net.channels = 4;
    c.net.layers = 3;
    c.net.cells = 1;
    c.train.epochs = 3;
    c.train.batch = 16;
}

struct Preset {
    const char* name;
    std::function<void(SearchConfig&)> set;
};
const std::array<Preset, 8>& presets() {
    static const std::array<Preset, 8> all{{
        {"darts/cifar10-1st", [](SearchConfig& c) { darts_cifar10(c, 1); }},
        {"darts/cifar10-2nd", [](SearchConfig& c) { darts_cifar10(c, 2); }},
        {"darts/nb201-1st", [](SearchConfig& c) { darts_nb201(c, 1); }},
        {"darts/nb201-2nd", [](SearchConfig& c) { darts_nb201(c, 2); }},
        {"smoke/darts-1st", [](SearchConfig& c) { darts_cifar10(c, 1), smoke(c); }},
        {"smoke/darts-2nd", [](SearchConfig& c) { darts_cifar10(c, 2), smoke(c); }},
        {"smoke/nb201-1st", [](SearchConfig& c) { darts_nb201(c, 1), smoke(c); }},
        {"smoke/nb201-2nd", [](SearchConfig& c) { darts_nb201(c, 2), smoke(c); }},
    }};
    return all;
}

}  // namespace

const std::vector<std::string>& preset_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const Preset& p : presets()) all.emplace_back(p.name);
        return all;
    }();
    return names;
}

SearchConfig preset(const std::string& name) {
    SearchConfig c;
    if (name == "none") return c;
    for (const Preset& p : presets())
        if (name == p.name) {
            c.preset = name;
            p.set(c);
            return c;
        }
    fail(ErrorKind::usage, "no preset is called {}{}", name, did_you_mean(name, preset_names()));
}

}  // namespace nascent
