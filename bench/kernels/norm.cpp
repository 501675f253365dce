#include "kernels/norm.h"

#include "bench/kernels/bench.h"

namespace nascent::bench {
namespace {

using namespace kernels;

/// A batch-norm's numbers between passes; 64 channels, the network's most.
struct Norm {
    static constexpr int kChannels = 64;
    static constexpr std::size_t kBytes = kChannels * sizeof(double);
    NormShape shape{kChannels, std::size_t{kBatch} * 8 * 8, 1e-5, 0.1};
    Buffer sums = sums_of(shape.count), mean = Buffer::zeros(kBytes), rstd = Buffer::zeros(kBytes);
    Buffer gamma = Buffer::floats(kChannels), beta = Buffer::floats(kChannels), running_mean = Buffer::zeros(kBytes),
           running_var = Buffer::floats(kChannels, 0.5F, 1.5F), scale = Buffer::zeros(kBytes),
           shift = Buffer::zeros(kBytes), slope = Buffer::zeros(kBytes), dgamma = Buffer::zeros(kBytes),
           dbeta = Buffer::zeros(kBytes);

    /// Of mean 0 and variance 1.
    static Buffer sums_of(std::size_t count) {
        Buffer b = Buffer::zeros(2 * kBytes);
        for (int c = 0; c < kChannels; c++) b.as<double>()[kChannels + c] = static_cast<double>(count);
        return b;
    }
    void finish() const {
        norm_finish<float>(kOneThread, shape, sums.as<double>(), gamma.as(), beta.as(), running_mean.as(),
                           running_var.as(), mean.as<double>(), rstd.as<double>(), scale.as(), shift.as());
    }
};

void items(benchmark::State& state) { state.SetItemsProcessed(state.iterations() * Norm::kChannels); }

void finish(benchmark::State& state) {
    const Norm n;
    for (auto _ : state) n.finish();
    items(state);
}
void running(benchmark::State& state) {
    const Norm n;
    for (auto _ : state)
        norm_running<float>(kOneThread, n.shape, n.gamma.as(), n.beta.as(), n.running_mean.as(), n.running_var.as(),
                            n.scale.as(), n.shift.as());
    items(state);
}
void fold(benchmark::State& state) {
    const Norm n;
    n.finish();
    for (auto _ : state)
        norm_fold<float>(kOneThread, n.shape, n.sums.as<double>(), n.sums.as<double>() + Norm::kChannels,
                         n.mean.as<double>(), n.rstd.as<double>(), n.gamma.as(), n.scale.as(), n.slope.as(),
                         n.shift.as(), n.dgamma.as(), false, n.dbeta.as(), false);
    items(state);
}

}  // namespace

void register_norm() {
    benchmark::RegisterBenchmark("norm/finish/64", finish);
    benchmark::RegisterBenchmark("norm/running/64", running);
    benchmark::RegisterBenchmark("norm/fold/64", fold);
}

}  // namespace nascent::bench
