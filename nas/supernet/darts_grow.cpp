#include "nas/supernet/darts_grow.h"

#include <fmt/format.h>

#include <cstdio>

#include "nas/supernet/initialise.h"

namespace nascent {
namespace {

constexpr const char* kCounter = ".num_batches_tracked";

/// Of a module or tensor in the network before, or "" for the new cell's.
std::string name_before(const std::string& name, int inserted) {
    int cell = 0, length = 0;
    if (std::sscanf(name.c_str(), "cells.%d%n", &cell, &length) != 1 || cell < inserted) return name;
    if (cell == inserted) return "";
    return fmt::format("cells.{}{}", cell - 1, name.substr(static_cast<std::size_t>(length)));
}

}  // namespace

void insert_cell(const StateDict& now, DartsNet& to, std::uint64_t seed) {
    const int cells = to.net().config.layers, inserted = darts::growth_of(cells - 1).insert;
    initialise(to.store(), seed ^ (0x9E3779B97F4A7C15 * static_cast<std::uint64_t>(cells)), GammaStart::ones,
               WeightStart::fan_out);
    auto take = [&](const std::string& name) {
        const std::string from = name_before(name, inserted);
        if (!from.empty()) to.set(name, now.at(from).values);
    };
    for (const Parameter& p : to.store().parameters()) take(p.name);
    for (const Buffer& b : to.store().buffers()) take(b.name);
    for (DartsNet::BatchCount& c : to.batch_counts()) {
        const std::string from = name_before(c.module, inserted);
        if (!from.empty()) c.count = static_cast<std::int64_t>(now.at(from + kCounter).values.at(0));
    }
}

}  // namespace nascent
