#include "nas/space/chain.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent::chain {
namespace {

constexpr std::array<Op, 4> kShuffleOps = {{{0, "shuffle_3x3", OpKind::shuffle, 3, 1},
                                            {1, "shuffle_5x5", OpKind::shuffle, 5, 1},
                                            {2, "shuffle_7x7", OpKind::shuffle, 7, 1},
                                            {3, "shuffle_xception", OpKind::xception, 3, 1}}};
constexpr std::array<Op, 7> kMobileOps = {{{0, "mb_k3e3", OpKind::mbconv, 3, 3},
                                           {1, "mb_k3e6", OpKind::mbconv, 3, 6},
                                           {2, "mb_k5e3", OpKind::mbconv, 5, 3},
                                           {3, "mb_k5e6", OpKind::mbconv, 5, 6},
                                           {4, "mb_k7e3", OpKind::mbconv, 7, 3},
                                           {5, "mb_k7e6", OpKind::mbconv, 7, 6},
                                           {kIdentity, "identity", OpKind::identity, 0, 0}}};

struct Stage {
    int blocks, width, stride;
};
constexpr std::array<Stage, 4> kShuffleStages = {{{4, 64, 2}, {4, 160, 2}, {8, 320, 2}, {4, 640, 2}}};
constexpr std::array<Stage, 6> kMobileStages = {
    {{4, 32, 2}, {4, 56, 2}, {4, 112, 2}, {4, 128, 1}, {4, 256, 2}, {1, 432, 1}}};
constexpr std::array<Stage, 6> kFairnasStages = {
    {{2, 32, 2}, {4, 40, 2}, {4, 80, 2}, {4, 96, 1}, {4, 192, 2}, {1, 320, 1}}};

std::vector<int> block_ops(const Space& s, int place) {
    if (s.family == Family::shufflenet) return {0, 1, 2, 3};
    if (s.rules == Rules::mmrazor) return {0, 2, 4, 1, 3, 5, kIdentity};
    if (s.rules == Rules::original && place > 0) return {0, 1, 2, 3, 4, 5, kIdentity};
    return {0, 1, 2, 3, 4, 5};
}

void add_blocks(Space& s, std::span<const Stage> stages) {
    int in = s.stem_out, size = s.stem_size;
    for (std::size_t i = 0; i < stages.size(); ++i) {
        for (int place = 0; place < stages[i].blocks; ++place) {
            const int stride = place == 0 ? stages[i].stride : 1, out_size = size / stride;
            s.blocks.push_back({.index = static_cast<int>(s.blocks.size()),
                                .stage = static_cast<int>(i),
                                .place = place,
                                .in = in,
                                .out = stages[i].width,
                                .stride = stride,
                                .in_size = size,
                                .out_size = out_size,
                                .ops = block_ops(s, place)});
            in = stages[i].width;
            size = out_size;
        }
    }
}

void check(const Config& c) {
    NASCENT_CHECK(c.classes >= 1 && c.classes <= 1'000'000, usage, "{} classes; expected 1..1000000", c.classes);
    NASCENT_CHECK(c.input_size >= 32 && c.input_size <= 4096 && c.input_size % 32 == 0, usage,
                  "pictures of {0} x {0}; expected a multiple of 32, 32..4096", c.input_size);
    NASCENT_CHECK(c.first_scale >= 0 && c.first_scale <= c.last_scale && c.last_scale < kScales, usage,
                  "channel scales {}..{}; expected a range inside 0..{}", c.first_scale, c.last_scale, kScales - 1);
    NASCENT_CHECK(c.width_multiple >= 1 && c.width_multiple <= 64, usage,
                  "inner widths in multiples of {}; expected 1..64", c.width_multiple);
}

}  // namespace

std::span<const Op> shufflenet_ops() { return kShuffleOps; }
std::span<const Op> mobilenet_ops() { return kMobileOps; }

const Op& Space::op(int id) const {
    for (const Op& o : ops) {
        if (o.id == id) return o;
    }
    fail(ErrorKind::usage, "no operator of the space {} has the number {}", name, id);
}

std::string Space::module_name(const Block& block) const {
    if (family == Family::shufflenet) return fmt::format("backbone.layers.{}.{}", block.stage, block.place);
    return fmt::format("backbone.layer{}.{}", block.stage + 2, block.place);  // layer1 is the fixed MBConv
}

Space space(std::string_view name, const Config& config) {
    check(config);
    auto found = std::find(kSpaces.begin(), kSpaces.end(), name);
    NASCENT_CHECK(found != kSpaces.end(), usage, "no space of blocks is called '{}'; nearest: {}", name.substr(0, 100),
                  nearest_name(name, kSpaces));
    Space s{.name = *found,
            .family = found->starts_with("shufflenet") ? Family::shufflenet : Family::mobilenet,
            .rules = found->ends_with("mmrazor")   ? Rules::mmrazor
                     : found->ends_with("fairnas") ? Rules::fairnas
                                                   : Rules::original,
            .channels = found->ends_with("channels"),
            .config = config,
            .stem = 16,
            .stem_out = 16,
            .stem_size = config.input_size / 2,
            .last = 1024,
            .ops = kShuffleOps,
            .blocks = {}};
    if (s.family == Family::mobilenet) {
        const bool fairnas = s.rules == Rules::fairnas;
        s.stem = fairnas ? 32 : 40;
        s.stem_out = fairnas ? 16 : 24;
        s.last = fairnas ? 1280 : 1728;
        s.ops = kMobileOps;
        add_blocks(s, fairnas ? std::span<const Stage>(kFairnasStages) : std::span<const Stage>(kMobileStages));
    } else {
        add_blocks(s, kShuffleStages);
    }
    return s;
}

void validate(const Space& s, const Architecture& arch) {
    NASCENT_CHECK(arch.ops.size() == s.blocks.size(), usage,
                  "an architecture of {} operators; the space {} has {} blocks", arch.ops.size(), s.name,
                  s.blocks.size());
    for (const Block& b : s.blocks) {
        const int id = arch.ops[static_cast<std::size_t>(b.index)];
        NASCENT_CHECK(std::find(b.ops.begin(), b.ops.end(), id) != b.ops.end(), usage,
                      "block {} of the space {} cannot have operator {}; expected one of {}", b.index, s.name, id,
                      fmt::join(b.ops, ", "));
    }
    if (arch.scales.empty()) {
        NASCENT_CHECK(!s.channels || (s.config.first_scale <= kUnscaled && kUnscaled <= s.config.last_scale), usage,
                      "an architecture without channel scales, and {} is not among the space's {}..{}", kUnscaled,
                      s.config.first_scale, s.config.last_scale);
        return;
    }
    NASCENT_CHECK(s.channels, usage, "channel scales in the space {}; only shufflenet-channels has them", s.name);
    NASCENT_CHECK(arch.scales.size() == s.blocks.size(), usage, "{} channel scales for {} blocks", arch.scales.size(),
                  s.blocks.size());
    for (std::size_t i = 0; i < arch.scales.size(); ++i) {
        NASCENT_CHECK(arch.scales[i] >= s.config.first_scale && arch.scales[i] <= s.config.last_scale, usage,
                      "block {} cannot have channel scale {}; expected {}..{}", i, arch.scales[i], s.config.first_scale,
                      s.config.last_scale);
    }
}

std::string to_string(const Architecture& arch) {
    const std::string ops = fmt::format("({})", fmt::join(arch.ops, ", "));
    return arch.scales.empty() ? ops : fmt::format("({}, ({}))", ops, fmt::join(arch.scales, ", "));
}

}  // namespace nascent::chain
