// Settings of published trainings of supernets: SPOS (ECCV 2020), MMRazor 1.x, AngleNAS (ECCV 2020).
#include "nas/algo/preset_list.h"
#include "nas/algo/spos_config.h"

namespace nascent {
namespace {

/// SPOS's program on the paper's split: 50 training pictures of each class to search on.
void shufflenet(SposConfig& c) {
    c.space = "shufflenet";
    c.data.pipeline = "spos";
    c.data.size = 224;
    c.data.holdout = 50;
    c.train.steps = 150'000;
    c.train.sampling = "buckets";
    c.search.max_flops = 330'000'000;
    c.search.norms = "ema";
    c.search.calibration = 25'600;
}

/// MMRazor 1.x searches on the validation set; off the path its parameters coast, as on the PyTorch 1.x of its time.
void shufflenet_mmrazor(SposConfig& c) {
    c.space = "shufflenet-mmrazor";
    c.data.pipeline = "mmrazor-shufflenet";
    c.data.size = 224;
    c.train.epochs = 300;
    c.train.decay = "mmrazor";
    c.train.inactive = "coast";
    c.search.generations = 20;
    c.search.order = "top1";
    c.search.rounding = 0.01;
    c.search.max_flops = 330'000'000;
    c.search.norms = "batch";
    c.search.pictures = 0;
    c.search.batch = 128;
}

/// AngleNAS's search stage.
void mobilenet(SposConfig& c) {
    c.space = "mobilenet";
    c.data.pipeline = "anglenas";
    c.data.size = 224;
    c.data.holdout = 50;
    c.net.start = "torch";
    c.train.steps = 240'400;
    c.train.batch = 512;
    c.train.order = "replacement";
    c.train.lr = 0.25;
    c.train.lr_step = "before";
    c.train.decay = "anglenas";
    c.train.clip_value = 5;
    c.search.generations = 20;
    c.search.first = "crossover";
    c.search.tries = 10'000;
    c.search.m_prob = 0.5;
    c.search.max_flops = 475'000'000;
    c.search.norms = "ema";
    c.search.calibration = 20'000;
    c.search.calibration_batch = 64;
    c.search.pictures = 0;
}

/// The paper's scales, 0.2 to 1.6, as reimplementations make them converge: the widest alone for half of the time,
/// then one more an epoch.
void shufflenet_channels(SposConfig& c) {
    shufflenet(c);
    c.space = "shufflenet-channels";
    c.train.sampling = "uniform";
    c.train.widen_from = 60;
    c.train.widen_every = 1;
}

/// So many candidates, pictures and batches of them.
void short_search(SposConfig& c, int population, int generations, int calibration, int calibration_batch, int pictures,
                  int batch) {
    c.search.population = population;
    c.search.select = population / 4 + 1;
    c.search.mutation = c.search.crossover = population / 2;
    c.search.generations = generations;
    c.search.calibration = calibration;
    c.search.calibration_batch = calibration_batch;
    c.search.pictures = pictures;
    c.search.batch = batch;
}

void smoke(SposConfig& c) {
    short_search(c, 6, 2, 32, 16, 32, 16);
    c.data.source = "synthetic";
    c.data.size = 32;
    c.data.synthetic_train = 128;
    c.data.synthetic_test = 64;
    c.train.epochs = 2;
    c.train.batch = 16;
    c.train.lr = 0.05;
}

/// FOLDER with 50,000 pictures of 64 x 64. So short a training teaches paths of one bucket, which thousands share, and
/// not all 4^20: below 22.2M MACs, and never another path (SPOS takes any after 500 tries, which is nearly always
/// here).
void smoke_cifar(SposConfig& c) {
    c.data.pipeline = "spos";
    c.data.size = 64;
    c.data.holdout = 50;
    c.net.start = "torch";
    c.train.steps = 700;
    c.train.batch = 64;
    c.train.lr = 0.05;
    c.train.sampling = "buckets";
    c.train.bucket_low = 22'000'000;
    c.train.bucket_high = 22'200'000;
    c.train.bucket_width = 200'000;
    c.train.bucket_tries = 0;
    short_search(c, 20, 4, 512, 64, 500, 100);
    c.search.max_flops = 22'200'000;
}

/// FOLDER/train with 1,000 pictures, one of each class, which is searched on too: nineteen epochs at 64 pixels, in
/// which paths of one bucket (as above) begin to know some pictures, so that the loss falls below that of guessing, ln
/// 1000.
void smoke_imagenet(SposConfig& c) {
    c.data.pipeline = "spos";
    c.data.size = 64;
    c.data.holdout = 1;
    c.data.holdout_from_train = true;
    c.net.start = "torch";
    c.train.steps = 600;
    c.train.batch = 32;
    c.train.lr = 0.05;
    c.train.sampling = "buckets";
    c.train.bucket_low = 23'000'000;
    c.train.bucket_high = 23'200'000;
    c.train.bucket_width = 200'000;
    c.train.bucket_tries = 0;
    short_search(c, 6, 2, 256, 64, 500, 100);
    c.search.max_flops = 23'200'000;
}

const PresetList<SposConfig>& presets() {
    static const PresetList<SposConfig> all = {
        {"none", [](SposConfig&) {}},
        {"spos/shufflenet", shufflenet},
        {"spos/shufflenet-mmrazor", shufflenet_mmrazor},
        {"spos/mobilenet", mobilenet},
        {"spos/shufflenet-channels", shufflenet_channels},
        {"smoke/spos", smoke},
        {"smoke/spos-cifar", smoke_cifar},
        {"smoke/spos-imagenet", smoke_imagenet},
    };
    return all;
}

}  // namespace

const std::vector<std::string>& spos_preset_names() {
    static const std::vector<std::string> names = names_of(presets());
    return names;
}

SposConfig spos_preset(const std::string& name) { return preset_of(presets(), name); }

}  // namespace nascent
