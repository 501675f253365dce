#include "nas/metric/chain_cost.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/error.h"
#include "nas/space/chain_published.h"
#include "nas/space/nearest_name.h"

namespace nascent::chain {

MacConvention mac_convention(std::string_view name) {
    return static_cast<MacConvention>(index_of_name("MAC convention", name, kMacConventions));
}

std::int64_t Cost::macs(MacConvention convention) const {
    switch (convention) {
        case MacConvention::mac:
            return conv_macs + linear_macs;
        case MacConvention::thop:
            return conv_macs + linear_macs + linear_additions;
        case MacConvention::mmrazor:
            return conv_macs + linear_macs + 2 * batch_norm_outputs + activation_outputs + pool_inputs;
    }
    fail(ErrorKind::usage, "no MAC convention has the number {}", static_cast<int>(convention));
}

Cost& Cost::operator+=(const Cost& other) {
    params += other.params;
    norm_params += other.norm_params;
    conv_macs += other.conv_macs;
    linear_macs += other.linear_macs;
    linear_additions += other.linear_additions;
    batch_norm_outputs += other.batch_norm_outputs;
    activation_outputs += other.activation_outputs;
    pool_inputs += other.pool_inputs;
    convs += other.convs;
    batch_norms += other.batch_norms;
    activations += other.activations;
    return *this;
}

Cost cost_of(const Layer& l) {
    const std::int64_t places = std::int64_t{l.out_size} * l.out_size, outputs = l.out * places;
    Cost c;
    c.params = l.parameters();
    switch (l.kind) {
        case LayerKind::conv:
            c.conv_macs = l.weights() * places;
            c.convs = 1;
            break;
        case LayerKind::linear:
            c.linear_macs = l.weights();
            c.linear_additions = (std::int64_t{l.in} - 1) * l.out;
            break;
        case LayerKind::batch_norm:
            c.norm_params = c.params;
            c.batch_norm_outputs = outputs;
            c.batch_norms = 1;
            break;
        case LayerKind::relu:
        case LayerKind::relu6:
            c.activation_outputs = outputs;
            c.activations = 1;
            break;
        case LayerKind::global_avg_pool:
            c.pool_inputs = std::int64_t{l.in} * l.in_size * l.in_size;
            break;
        default:
            break;  // moves of channels, sums and dropout are free in every convention
    }
    return c;
}

Cost cost_of(const std::vector<Layer>& layers) {
    Cost cost;
    for (const Layer& l : layers) cost += cost_of(l);
    return cost;
}

JsonObject macs_json(const Cost& cost) {
    JsonObject macs;
    for (std::size_t i = 0; i < kMacConventions.size(); i++)
        macs.add(kMacConventions[i], cost.macs(static_cast<MacConvention>(i)));
    return macs;
}

JsonObject cost_json(const Space& s, const Architecture& arch) {
    const Cost c = cost_of(subnet(s, arch).layers);
    JsonObject all;
    all.add("space", s.name).add("arch", to_string(arch));
    const std::string_view name = published_name(s, arch);
    if (!name.empty()) all.add("name", name);
    if (s.channels) {
        std::vector<int> widths;
        for (const Block& b : s.blocks)
            widths.push_back(
                shuffle_shape(s, b, arch.scales.empty() ? kUnscaled : arch.scales[static_cast<std::size_t>(b.index)])
                    .mid);
        all.add("widths", widths);
    }
    all.add("size", s.config.input_size).add("classes", s.config.classes);
    all.add("params", c.params).add("norm_params", c.norm_params).add("macs", macs_json(c));
    return all.add("conv_macs", c.conv_macs).add("convs", c.convs).add("batch_norms", c.batch_norms);
}

std::vector<std::vector<int>> all_operators(const Space& s) {
    std::vector<std::vector<int>> ops;
    for (const Block& b : s.blocks) ops.push_back(b.ops);
    return ops;
}

Choices all_choices(const Space& s) { return choices_of(s, all_operators(s)); }

Choices choices_of(const Space& s, const std::vector<std::vector<int>>& ops) {
    NASCENT_CHECK(ops.size() == s.blocks.size(), usage, "operators for {} blocks; the space {} has {}", ops.size(),
                  s.name, s.blocks.size());
    Choices choices;
    for (const Block& b : s.blocks) {
        std::vector<Choice>& here = choices.emplace_back();
        for (int id : ops[static_cast<std::size_t>(b.index)]) {
            NASCENT_CHECK(std::find(b.ops.begin(), b.ops.end(), id) != b.ops.end(), usage,
                          "block {} cannot have operator {}; expected some of {}", b.index, id, fmt::join(b.ops, ", "));
            NASCENT_CHECK(std::none_of(here.begin(), here.end(), [&](const Choice& c) { return c.op == id; }), usage,
                          "block {} has operator {} twice", b.index, id);
            if (!s.channels) here.push_back({id});
            for (int scale = s.config.first_scale; s.channels && scale <= s.config.last_scale; ++scale)
                here.push_back({id, scale});
        }
        NASCENT_CHECK(!here.empty(), usage, "block {} has no operator", b.index);
    }
    return choices;
}

std::vector<int> path_of(const Space& s, const Choices& choices, const Architecture& arch) {
    validate(s, arch);
    std::vector<int> path;
    for (std::size_t b = 0; b < choices.size(); ++b) {
        const Choice wanted{arch.ops[b], arch.scales.empty() ? kUnscaled : arch.scales[b]};
        const auto found = std::find(choices[b].begin(), choices[b].end(), wanted);
        NASCENT_CHECK(found != choices[b].end(), usage, "block {} has no operator {} with channel scale {} left", b,
                      wanted.op, wanted.scale);
        path.push_back(static_cast<int>(found - choices[b].begin()));
    }
    return path;
}

Architecture architecture_of(const Space& s, const Choices& choices, std::span<const int> path) {
    NASCENT_CHECK(path.size() == choices.size(), usage, "a path of {} choices through {} blocks", path.size(),
                  choices.size());
    Architecture arch;
    for (std::size_t b = 0; b < path.size(); ++b) {
        const auto i = static_cast<std::size_t>(path[b]);
        NASCENT_CHECK(i < choices[b].size(), usage, "block {} has no choice {}", b, path[b]);
        arch.ops.push_back(choices[b][i].op);
        if (s.channels) arch.scales.push_back(choices[b][i].scale);
    }
    return arch;
}

PathCosts path_costs(const Space& s, const Choices& choices, std::optional<MacConvention> convention) {
    auto count = [&](const std::vector<Layer>& layers) {
        const Cost c = cost_of(layers);
        return convention ? c.macs(*convention) : c.params;
    };
    const Style style = subnet_style(s);
    std::vector<std::vector<std::int64_t>> blocks;
    for (std::size_t b = 0; b < choices.size(); ++b) {
        blocks.emplace_back();
        for (const Choice& c : choices[b])
            blocks.back().push_back(count(block_layers(s, s.blocks[b], c.op, c.scale, style)));
    }
    return PathCosts(count(fixed_layers(s, style)), blocks);
}

}  // namespace nascent::chain
