// Every registered op on every one of its cases, forward and backward, fused and as its reference: the cases of the
// tests, timed. Cases are small; kernels at the sizes of real networks are in the other programs.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "engine/autograd/op.h"
#include "engine/base/rng.h"

using namespace nascent;

namespace {

std::string device_name = "cpu";

void run(benchmark::State& state, const Case& c, bool reference) {
    static std::unique_ptr<Device> device = make_device(device_name, 1);
    Arena kept(*device, std::size_t{1} << 32, false), step(*device, std::size_t{1} << 34, false);
    std::vector<Tensor> in;
    for (const Shape& s : c.inputs) {
        Tensor t = kept.tensor(s, DType::f32);
        std::vector<float> host(t.size());
        for (std::size_t i = 0; i < t.size(); i++)
            host[i] = static_cast<float>(
                2 * Random(1, RandomStream::test, in.size(), static_cast<std::uint32_t>(i)).uniform(0) - 1);
        device->copy_in(t.data, host.data(), t.bytes());
        in.push_back(t);
    }
    for (auto _ : state) {
        step.reset();
        ExecutionScope execution(step);
        Tape tape(step, nullptr);
        TapeScope recording(&tape);
        std::unique_ptr<ReferenceScope> slow(reference ? new ReferenceScope : nullptr);
        for (std::size_t i = 0; i < in.size(); i++)
            if (c.differentiable.empty() || c.differentiable[i]) tape.watch(in[i]);
        Tensor y = c.run(in), dy = step.tensor(y.shape, y.dtype);
        device->fill(dy.data, 0x3f, dy.bytes());  // 0.747 everywhere
        tape.backward(y, dy);
        device->synchronize();
    }
}

}  // namespace

/// bench_ops [--device=gpu] [google-benchmark's options]
int main(int argc, char** argv) {
    for (int i = 1; i < argc; i++)
        if (const std::string argument = argv[i]; argument.starts_with("--device=")) {
            device_name = argument.substr(9);
            std::copy(argv + i + 1, argv + argc, argv + i);
            argc--;
            break;
        }
    for (const OpEntry& op : registered_ops())
        for (const Case& c : op.cases())
            for (bool reference : {false, true}) {
                if (reference && !op.fused) continue;
                benchmark::RegisterBenchmark(
                    (std::string(op.name) + "/" + c.what + (reference ? "/reference" : "")).c_str(),
                    [c, reference](benchmark::State& state) { run(state, c, reference); });
            }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
