// Settings of published searches: DARTS (ICLR 2019) and PC-DARTS (ICLR 2020) on CIFAR-10, PC-DARTS on ImageNet, DARTS
// on NAS-Bench-201 as its paper (ICLR 2020) ran it, as it ran GDAS (CVPR 2019) and RSPS (UAI 2019); DrNAS (ICLR 2021);
// SNAS (ICLR 2019).
#include "nas/algo/preset_list.h"
#include "nas/algo/search_config.h"

namespace nascent {
namespace {

void darts_cifar10(SearchConfig& c, int order) {
    c.data.split = "half";
    c.data.norm = "cifar10-darts";
    c.arch.order = order;
    c.run.seed = 2;
}

void pcdarts_cifar10(SearchConfig& c) {
    darts_cifar10(c, 1);
    c.algo = "pcdarts";
    c.net.partial = 4;
    c.train.batch = 256;
    c.train.lr = 0.1;
    c.train.lr_min = 0;
    c.arch.lr = 6e-4;
    c.arch.begin = 15;
    c.valid.last = 1;
}

/// DIR/train and DIR/val hold 10 % and 2.5 % of each of ImageNet's classes. All batches, validation's too, are random
/// resized crops that may be mirrored, without changes of colour.
void imagenet_pictures(SearchConfig& c) {
    c.data.split = "folders";
    c.data.pipeline = "imagenet";
    c.data.norm = "imagenet";
    c.data.size = 224;
}

void pcdarts_imagenet(SearchConfig& c) {
    pcdarts_cifar10(c);
    imagenet_pictures(c);
    c.net.partial = 2;
    c.net.stem = "imagenet";
    c.train.batch = 1024;
    c.train.lr = 0.5;
    c.train.warmup = 5;
    c.arch.lr = 6e-3;
    c.arch.clip = 5;
    c.arch.begin = 35;
    c.arch.batches = "iterator";
    c.valid.last = 3;
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

void gdas_nb201(SearchConfig& c) {
    darts_nb201(c, 1);
    c.algo = "gdas";
    c.net.track = false;
    c.train.epochs = 250;
    c.train.inactive = "coast";
    c.arch.bare_sums = true;  // tau's defaults are this run's
}

void rsps_nb201(SearchConfig& c) {
    darts_nb201(c, 1);
    c.algo = "rsps";
    c.arch.in_clip = false;
    c.net.track = false;
    c.train.epochs = 250;
    c.train.inactive = "coast";
    c.valid.batch = 512;
}

/// The space as DrNAS's code searches it.
void drnas_space(SearchConfig& c, const char* norm) {
    c.space = "nasbench201";
    c.data.split = "half";
    c.data.norm = norm;
    c.net.bn_gamma = "ones";
    c.train.epochs = 100;
    c.run.seed = 2;
}

void drnas_nb201(SearchConfig& c, const char* norm) {
    drnas_space(c, norm);
    c.algo = "drnas";
    c.arch.in_clip = true;
}

/// Partial channels, of which more are seen by fewer operators in the second half.
void drnas_nb201_progressive(SearchConfig& c) {
    drnas_nb201(c, "cifar10-darts");
    c.net.partial = 4;
    c.arch.stages = "50:2:3";
    c.arch.begin = 10;
}

void drnas_cifar10(SearchConfig& c) {
    darts_cifar10(c, 1);
    c.algo = "drnas";
    c.net.channels = 36;
    c.net.layers = 20;
    c.net.none = false;
    c.net.partial = 6;
    c.net.bn_gamma = "ones";
    c.train.lr = 0.1;
    c.train.lr_min = 0;
    c.arch.lr = 6e-4;
    c.arch.stages = "25:4:4";
    c.arch.begin = 10;
}

void drnas_imagenet(SearchConfig& c) {
    drnas_cifar10(c);
    imagenet_pictures(c);
    c.net.stem = "imagenet";
    c.net.channels = 48;
    c.net.layers = 14;
    c.train.batch = 512;
    c.train.lr = 0.5;
    c.train.warmup = 5;
    c.arch.lr = 6e-3;
    c.arch.clip = 5;
    c.arch.batches = "iterator";
    c.arch.stages = "25:3:4";
    c.valid.last = 3;
    c.run.seed = 0;
}

/// One level, and a temperature from 1 to 0.03.
void snas(SearchConfig& c) {
    c.algo = "snas";
    c.arch.turn = "together";
    c.arch.tau = 1;
    c.arch.tau_last = 0.03;
    c.arch.tau_way = "before";
}

void snas_cifar10(SearchConfig& c) {
    darts_cifar10(c, 1);
    snas(c);
    c.train.epochs = 150;
    c.run.seed = 6;
}

/// As DrNAS's code runs it for its table: two levels, and a temperature from 10 to 1.
void snas_nb201(SearchConfig& c) {
    drnas_space(c, "cifar10-darts");
    c.algo = "snas";
    c.arch.in_clip = true;
    c.arch.tau_last = 1;
    c.arch.tau_way = "after";
}

/// Seconds on two cores, on pictures made from the seed.
void smoke(SearchConfig& c) {
    c.data.source = "synthetic";
    c.data.pipeline = "none";
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

const PresetList<SearchConfig>& presets() {
    static const PresetList<SearchConfig> all{
        {"darts/cifar10-1st", [](SearchConfig& c) { darts_cifar10(c, 1); }},
        {"darts/cifar10-2nd", [](SearchConfig& c) { darts_cifar10(c, 2); }},
        {"darts/nb201-1st", [](SearchConfig& c) { darts_nb201(c, 1); }},
        {"darts/nb201-2nd", [](SearchConfig& c) { darts_nb201(c, 2); }},
        {"pcdarts/cifar10", pcdarts_cifar10},
        {"pcdarts/imagenet", pcdarts_imagenet},
        {"drnas/nb201-cifar10", [](SearchConfig& c) { drnas_nb201(c, "cifar10-darts"); }},
        {"drnas/nb201-cifar100", [](SearchConfig& c) { drnas_nb201(c, "cifar100-drnas"); }},
        {"drnas/nb201-imagenet16", [](SearchConfig& c) { drnas_nb201(c, "imagenet16"); }},
        {"drnas/nb201-progressive", drnas_nb201_progressive},
        {"drnas/cifar10", drnas_cifar10},
        {"drnas/imagenet", drnas_imagenet},
        {"gdas/nb201", gdas_nb201},
        {"rsps/nb201", rsps_nb201},
        {"snas/nb201", snas_nb201},
        {"snas/cifar10", snas_cifar10},
        {"smoke/darts-1st", [](SearchConfig& c) { darts_cifar10(c, 1), smoke(c); }},
        {"smoke/darts-2nd", [](SearchConfig& c) { darts_cifar10(c, 2), smoke(c); }},
        {"smoke/nb201-1st", [](SearchConfig& c) { darts_nb201(c, 1), smoke(c); }},
        {"smoke/nb201-2nd", [](SearchConfig& c) { darts_nb201(c, 2), smoke(c); }},
        {"smoke/pcdarts",
         [](SearchConfig& c) {
             pcdarts_cifar10(c), smoke(c);
             c.net.channels = 8;
             c.arch.begin = 1;
         }},
        {"smoke/pcdarts-imagenet",
         [](SearchConfig& c) {
             pcdarts_imagenet(c), smoke(c);
             c.data.split = "folders";
             c.data.size = 64;
             c.data.synthetic_test = 32;
             c.train.warmup = 1;
             c.arch.begin = 1;
         }},
        {"smoke/drnas", [](SearchConfig& c) { drnas_nb201(c, "auto"), smoke(c); }},
        {"smoke/drnas-progressive",
         [](SearchConfig& c) {
             drnas_nb201_progressive(c), smoke(c);
             c.net.channels = 8;
             c.arch.stages = "1:2:3";
             c.arch.begin = 0;
         }},
        {"smoke/drnas-darts",
         [](SearchConfig& c) {
             drnas_cifar10(c), smoke(c);
             c.net.channels = 8;
             c.net.partial = 4;
             c.arch.stages = "1:2:4";
             c.arch.begin = 0;
         }},
        {"smoke/drnas-darts-imagenet",
         [](SearchConfig& c) {
             drnas_imagenet(c), smoke(c);
             c.data.split = "folders";
             c.data.size = 64;
             c.data.synthetic_test = 32;
             c.net.channels = 8;
             c.net.partial = 4;
             c.train.warmup = 1;
             c.arch.stages = "1:2:4";
             c.arch.begin = 0;
         }},
        {"smoke/gdas", [](SearchConfig& c) { gdas_nb201(c), smoke(c); }},
        {"smoke/gdas-darts",
         [](SearchConfig& c) {
             darts_cifar10(c, 1), smoke(c);
             c.algo = "gdas";
             c.train.inactive = "coast";
         }},
        {"smoke/rsps", [](SearchConfig& c) { rsps_nb201(c), smoke(c), c.search.candidates = 20; }},
        {"smoke/snas", [](SearchConfig& c) { snas_nb201(c), smoke(c); }},
        {"smoke/snas-darts", [](SearchConfig& c) { snas_cifar10(c), smoke(c); }},
    };
    return all;
}

}  // namespace

const std::vector<std::string>& preset_names() {
    static const std::vector<std::string> names = names_of(presets());
    return names;
}

SearchConfig preset(const std::string& name) {
    if (name == "none") return {};
    return preset_of(presets(), name);
}

}  // namespace nascent
