// Training steps of SPOS's ShuffleNetV2 and AngleNAS's MobileNet supernet at 224 pixels as their presets train them
// (path, forward, smoothed loss, backward, SGD of what the path has), on pictures in memory, as one line of JSON: the
// side of bench/compare.py that is ours. --check writes a training in float64 for bench/torch/chain_step.py --check.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/step_timing.h"
#include "engine/base/rng.h"
#include "nas/algo/spos_config.h"
#include "nas/run/program.h"
#include "nas/supernet/chain_state_dict.h"

using namespace nascent;

namespace {

struct Setting {
    SposConfig config;
    chain::Space space;
    ChainTraining training;
    ChainPaths paths;
};

Setting setting(const std::string& name, int size) {
    Setting s;
    s.config = spos_preset("spos/" + name);
    s.config.data.source = "folder:.";  // not read
    resolve(s.config);
    s.space = space_of(s.config, 1000, size);
    const std::int64_t per_epoch = 1'281'167 / s.config.train.batch;
    s.training = training_of(s.config, per_epoch);
    s.training.lr /= 100;  // for batches as small as here
    // Limits of costs are those at 224 pixels.
    s.paths = chain_paths(space_of(s.config, 1000, 224), sampling_of(s.config, per_epoch));
    return s;
}

/// A batch that is made before and stays.
class Held {
  public:
    Held(Device& device, DType dtype, int batch, int size, std::uint64_t seed)
        : kept_(device, std::size_t{1} << 38, false), pictures_({batch, 3, size, size}) {
        Tensor x = kept_.tensor({batch, size, size, 3}, dtype), y = kept_.tensor({batch}, DType::i32);
        values_.resize(x.size());
        with_type(dtype, [&](auto zero) {
            std::vector<decltype(zero)> lie(values_.size());
            const std::size_t area = static_cast<std::size_t>(size) * static_cast<std::size_t>(size);
            for (std::size_t i = 0; i < lie.size(); i++) {
                lie[i] = static_cast<decltype(zero)>(
                    2 * Random(seed, RandomStream::test, 1, static_cast<std::uint32_t>(i)).uniform(0) - 1);
                const std::size_t n = i / (3 * area), pixel = i / 3 % area, c = i % 3;
                values_[(n * 3 + c) * area + pixel] = static_cast<double>(lie[i]);
            }
            device.copy_in(x.data, lie.data(), x.bytes());
        });
        for (int i = 0; i < batch; i++) labels_.push_back(i * 977 % 1000);
        device.copy_in(y.data, labels_.data(), y.bytes());
        batch_ = {x, y};
    }
    BatchSource source() const {
        return {[this](std::int64_t) { return batch_; }, 1, [] { return 0.0; }};
    }
    /// (n, 3, size, size) and (n).
    StateDict::Entry pictures() const { return {pictures_, values_}; }
    StateDict::Entry labels() const { return {{pictures_[0]}, std::vector<double>(labels_.begin(), labels_.end())}; }

  private:
    Arena kept_;
    std::vector<std::int64_t> pictures_;
    std::vector<double> values_;
    std::vector<std::int32_t> labels_;
    LabelledBatch batch_;
};

std::string paths_text(const ChainPaths& paths, int count) {
    std::string text;
    for (int i = 0; i < count; i++) text += fmt::format("{}[{}]", i ? ", " : "", fmt::join(paths(i).ops, ", "));
    return "[" + text + "]";
}

/// Steps without dropout, from what initialise() makes: before/NAME, after/NAME, pictures, labels; paths, losses, rates
/// and the parameters' names in order are the file's metadata.
void write_check(const std::string& file, Device& device, const Setting& s, const bench::StepArguments& a, int size) {
    ChainNet net(device, DType::f64, supernet_of(s.config, s.space));
    initialise(net, a.seed, start_of(s.config, s.space));
    const Held held(device, DType::f64, a.batch, size, a.seed);
    ChainTraining training = s.training;
    training.dropout = false;
    StateDict all;
    auto keep = [&](const std::string& prefix) {
        const StateDict now = state_dict(net);
        for (const auto& [name, entry] : now.entries()) all.set(prefix + name, entry);
    };
    keep("before/");
    ChainTrainer trainer(net, held.source(), s.paths, training);
    std::vector<double> losses, rates;
    for (int i = 0; i < a.steps; i++) {
        rates.push_back(learning_rate(training, i));
        losses.push_back(trainer.step().loss);
    }
    keep("after/");
    all.set("pictures", held.pictures());
    all.set("labels", held.labels());
    std::string names;
    for (const chain::StateEntry& e : chain::state_entries(net.net().layers))
        names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", e.name);
    all.write(file, DType::f64,
              {{"paths", paths_text(s.paths, a.steps)},
               {"losses", fmt::format("[{}]", fmt::join(losses, ", "))},
               {"rates", fmt::format("[{}]", fmt::join(rates, ", "))},
               {"names", "[" + names + "]"}});
}

}  // namespace

static int run(int argc, char** argv) {
    CLI::App app{"Times training steps of SPOS's supernets as their presets are; prints one line of JSON."};
    bench::StepArguments arguments(app);
    std::string space = "shufflenet", check;
    int size = 224, paths = 0;
    app.add_option("--space", space)->check(CLI::IsMember({"shufflenet", "mobilenet"}));
    app.add_option("--size", size, "of the pictures")->check(CLI::PositiveNumber);
    app.add_option("--print-paths", paths, "print the paths of the first so many steps instead, as JSON");
    app.add_option("--check", check, "write --steps steps in float64 to this safetensors file instead");
    CLI11_PARSE(app, argc, argv);

    const Setting s = setting(space, size);
    if (paths > 0) {
        fmt::print("{}\n", paths_text(s.paths, paths));
        return 0;
    }
    bench::StepTiming timing(arguments);
    if (!check.empty()) {
        write_check(check, timing.device(), s, arguments, size);
        return 0;
    }
    ChainNet net(timing.device(), DType::f32, supernet_of(s.config, s.space));
    initialise(net, arguments.seed, start_of(s.config, s.space));
    const Held held(timing.device(), DType::f32, arguments.batch, size, arguments.seed);
    ChainTrainer trainer(net, held.source(), s.paths, s.training);
    timing.run([&] { return trainer.step().loss; }, [&] { return trainer.wait_seconds(); });
    fmt::print("{}\n", timing.result().add("space", space).add("high_water", trainer.high_water()).text());
    return 0;
}

int main(int argc, char** argv) { return nascent::run_program("bench_chain_step", run, argc, argv); }
