#include <fmt/format.h>
#include <time.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include "engine/autograd/execution.h"
#include "kernels/target.h"
#include "nas/supernet/darts.h"
#include "ops/optim/sgd.h"
#include "ops/reference.h"
using namespace nascent;
static double clock_seconds(clockid_t clock) { timespec t; clock_gettime(clock, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
int main(int argc, char** argv) {
    int batch = 16, threads = 1, steps = 5, warmup = 1; bool arch = false;
    CLI::App app; app.add_option("--batch", batch); app.add_option("--threads", threads); app.add_option("--steps", steps); app.add_option("--warmup", warmup); app.add_flag("--arch", arch);
    CLI11_PARSE(app, argc, argv);
    auto device = make_device("cpu", threads);
    DartsNet net(*device, DType::f32, darts::search_net(darts::search_config("cifar10")));
    unsigned s = 1; auto rnd = [&] { s = 1664525u * s + 1013904223u; return s / 4294967296.0 * 2 - 1; };
    for (const auto& e : darts::state_entries(net.net())) if (!e.int64) {
        std::size_t n = 1; for (auto d : e.shape) n *= d;
        std::vector<double> v(n);
        const bool var = e.name.ends_with("running_var"), mean = e.name.ends_with("running_mean");
        for (double& x : v) x = var ? 1 : mean ? 0 : e.shape.size() > 1 ? rnd() * std::sqrt(6.0 / (n / e.shape[0])) : 1;
        net.set(e.name, v);
    }
    Arena arena(*device);
    Sgd sgd(net.store(), {}, [](std::int64_t) { return 0.025; });
    std::vector<double> wall, core; double loss = 0;
    for (int i = 0; i < warmup + steps; i++) {
        const double w = clock_seconds(CLOCK_MONOTONIC), c = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
        ExecutionScope execution(arena);
        Tensor x = empty({batch, 32, 32, 3}, DType::f32), y = empty({batch}, DType::i32);
        for (float& v : x.span<float>()) v = rnd();
        for (int k = 0; k < batch; k++) y.span<std::int32_t>()[k] = k % 10;
        Tape tape(arena, &net.store()); TapeScope rec(&tape);
        auto out = net.forward(x, true);
        Tensor l = cross_entropy(out.logits, y), one = empty({1}, DType::f32); one.span<float>()[0] = 1;
        loss = l.span<float>()[0];
        tape.backward(l, one);
        sgd.step(tape);
        if (i >= warmup) { wall.push_back(clock_seconds(CLOCK_MONOTONIC) - w); core.push_back(clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - c); }
        arena.reset();
    }
    std::sort(wall.begin(), wall.end()); std::sort(core.begin(), core.end());
    fmt::print("wall {:.4f} core {:.4f} min {:.4f} high water {} MiB loss {}\n", wall[wall.size()/2], core[core.size()/2], core[0], arena.high_water() >> 20, loss);
}
