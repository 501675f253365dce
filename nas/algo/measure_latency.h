// Measuring a LatencyTable on a device.
#pragma once
#include <functional>

#include "engine/streams/device.h"
#include "engine/tensor/shape.h"
#include "nas/metric/latency_table.h"

namespace nascent {

struct LatencyRequest {
    DType dtype = DType::f32;
    int batch = 1;
    int warmup = 3;                                                      // rounds that do not count
    int repeats = 20;                                                    // rounds that do; the median is taken
    std::function<void(int rounds, int of)> progress = [](int, int) {};  // after each round
};

/// Stem, head and every operator of every block of subnets (batch norms with running statistics) on batches of random
/// pictures. In a round each is run once, so that what else the machine does meets all alike; on a gpu the host waits
/// for each. Blocks of the same shape are measured as one. Throws Error(usage) for numbers out of range.
LatencyTable measure_latency(Device& device, const chain::Space& space, const LatencyRequest& request);

}  // namespace nascent
