#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "apps/spos/commands.h"
#include "engine/io/atomic_file.h"
#include "nas/algo/measure_latency.h"
#include "nas/run/program.h"

namespace nascent::spos {

void latency(const LatencyCommand& c) {
    chain::Config config;
    if (c.size > 0) config.input_size = c.size;
    if (c.classes > 0) config.classes = c.classes;
    const chain::Space space = chain::space(c.space, config);
    const auto device = make_device(c.device, c.threads);
    LatencyRequest r;
    r.dtype = c.dtype == "float64" ? DType::f64 : DType::f32;
    r.batch = c.batch;
    r.warmup = c.warmup;
    r.repeats = c.repeats;
    auto said = std::chrono::steady_clock::now();
    r.progress = [&](int done, int of) {
        const auto now = std::chrono::steady_clock::now();
        if (now - said < std::chrono::seconds(5) && done < of) return;
        said = now;
        fmt::print(stderr, "round {} of {}\n", done, of);
    };
    const LatencyTable table = measure_latency(*device, space, r);
    const std::string text = table.to_csv(space);
    if (c.out.empty()) return print(text);
    write_file_atomic(c.out, text);
    const PathCosts costs = latency_costs(table, space, chain::all_choices(space), 1);
    print(JsonObject()
              .add("path", c.out)
              .add("device", table.device)
              .add("threads", table.threads)
              .add("batch", table.batch)
              .add("fastest_ns", costs.low())
              .add("slowest_ns", costs.high())
              .text() +
          "\n");
}

}  // namespace nascent::spos
