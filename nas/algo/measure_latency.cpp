#include "nas/algo/measure_latency.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "engine/autograd/execution.h"
#include "engine/base/rng.h"
#include "nas/algo/common_options.h"
#include "nas/supernet/chain_start.h"

namespace nascent {
namespace {

/// What is timed: a piece with an input of its own.
struct Timed {
    Tensor x;
    std::function<Tensor(const Tensor&)> run;
    std::vector<std::int64_t> times{};

    std::int64_t median() const {
        std::vector<std::int64_t> sorted = times;
        std::sort(sorted.begin(), sorted.end());
        return sorted[(sorted.size() - 1) / 2];
    }
};

Tensor random_input(Arena& arena, const Shape& shape, DType dtype) {
    const Tensor t = arena.tensor(shape, dtype);
    with_type(dtype, [&](auto zero) {
        std::vector<decltype(zero)> host(t.size());
        for (std::size_t i = 0; i < host.size(); i++)
            host[i] = static_cast<decltype(zero)>(
                2 * Random(0, RandomStream::test, 0, static_cast<std::uint32_t>(i)).uniform(0) - 1);
        t.device->copy_in(t.data, host.data(), t.bytes());
    });
    return t;
}

/// Subnets in which every block has the same operator and scale, or its first operator where it may not have that one.
class Subnets {
  public:
    Subnets(Device& device, DType dtype, const chain::Space& space) : device_(device), dtype_(dtype), space_(space) {}
    ChainNet& of(const chain::Choice& choice) {
        std::unique_ptr<ChainNet>& net = nets_[{choice.op, choice.scale}];
        if (net) return *net;
        chain::Architecture arch;
        for (const chain::Block& b : space_.blocks) {
            const bool has = std::find(b.ops.begin(), b.ops.end(), choice.op) != b.ops.end();
            arch.ops.push_back(has ? choice.op : b.ops[0]);
            if (space_.channels) arch.scales.push_back(choice.scale);
        }
        net = std::make_unique<ChainNet>(device_, dtype_, chain::subnet(space_, arch));
        initialise(*net, 1, ChainStart::torch);
        return *net;
    }

  private:
    Device& device_;
    DType dtype_;
    const chain::Space& space_;
    std::map<std::pair<int, int>, std::unique_ptr<ChainNet>> nets_;
};

}  // namespace

LatencyTable measure_latency(Device& device, const chain::Space& space, const LatencyRequest& r) {
    NASCENT_CHECK(r.batch > 0 && r.repeats > 0 && r.warmup >= 0, usage,
                  "batches of {}, {} rounds after {}; expected at least 1, 1 and 0", r.batch, r.repeats, r.warmup);
    const chain::Choices choices = chain::all_choices(space);
    Subnets nets(device, r.dtype, space);
    Arena inputs(device), arena(device);
    ChainPass pass;
    pass.norms = NormMode::running;

    std::vector<Timed> all;
    std::map<std::tuple<int, int>, Tensor> by_shape;  // size, channels
    const auto input = [&](int size, int channels) {
        Tensor& x = by_shape[{size, channels}];
        if (!x.defined()) x = random_input(inputs, {r.batch, size, size, channels}, r.dtype);
        return x;
    };
    ChainNet& first = nets.of(choices[0][0]);
    const chain::Block& last = space.blocks.back();
    all.push_back({input(space.config.input_size, 3), [&](const Tensor& x) { return first.stem(x, pass); }});
    all.push_back({input(last.out_size, last.out), [&](const Tensor& x) { return first.head(x, pass); }});
    std::map<std::tuple<int, int, int, int, int, int>, std::size_t> place;  // shape, operator, scale: in `all`
    std::map<std::tuple<int, int, int>, std::size_t> of_entry;
    for (const chain::Block& b : space.blocks) {
        for (const chain::Choice& c : choices[static_cast<std::size_t>(b.index)]) {
            const auto [at, fresh] = place.try_emplace({b.in, b.out, b.stride, b.in_size, c.op, c.scale}, all.size());
            of_entry[{b.index, c.op, c.scale}] = at->second;
            if (!fresh) continue;
            all.push_back({input(b.in_size, b.in), [&net = nets.of(c), &pass, index = b.index, c](const Tensor& x) {
                               return net.block(index, c.op, c.scale, x, pass);
                           }});
        }
    }

    using Clock = std::chrono::steady_clock;
    ExecutionScope execution(arena);
    for (int round = 0; round < r.warmup + r.repeats; round++) {
        for (Timed& t : all) {
            arena.reset();
            device.synchronize();
            const Clock::time_point begin = Clock::now();
            (void)t.run(t.x);
            device.synchronize();
            const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin);
            if (round >= r.warmup) t.times.push_back(time.count());
        }
        r.progress(round + 1, r.warmup + r.repeats);
    }
    LatencyTable table;
    table.space = space.name;
    table.device = target_of(device);
    table.dtype = r.dtype == DType::f64 ? "float64" : "float32";
    table.size = space.config.input_size;
    table.classes = space.config.classes;
    table.batch = r.batch;
    table.threads = device.pool() ? device.pool()->threads() : 1;
    table.repeats = r.repeats;
    table.stem = all[0].median();
    table.head = all[1].median();
    for (const auto& [entry, at] : of_entry) table.blocks[entry] = all[at].median();
    return table;
}

}  // namespace nascent
