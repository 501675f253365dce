// Networks of chains: blocks, layers, names of tensors.
#include "nas/space/chain_net.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "nas/space/chain_published.h"
#include "tests/nas/digest.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::chain;
using namespace nascent::test;

namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
    std::string text;
    for (std::int64_t d : shape) text += fmt::format("{}{}", text.empty() ? "" : "x", d);
    return text.empty() ? "scalar" : text;
}

/// "name shape type" of every tensor, line by line.
std::vector<std::string> listing(const Net& net) {
    std::vector<std::string> lines;
    for (const StateEntry& e : state_entries(net.layers))
        lines.push_back(fmt::format("{} {} {}", e.name, shape_text(e.shape), e.int64 ? "int64" : "float"));
    return lines;
}

struct Known {
    const char *space, *file, *crc;
    std::size_t entries, trained, convs;
    std::int64_t params;
};
// CRC-32 of the listings of the real models' state dicts in PyTorch 1.13.
constexpr Known kKnown[] = {
    {"shufflenet", "spos_supernet", "0271d9d9", 1337, 335, 334, 8388176},
    {"shufflenet-mmrazor", "mmrazor_shuffle_supernet", "91a9cfec", 2006, 1004, 334, 8488600},
    {"mobilenet", "anglenas_mobile_supernet", "b0812240", 2294, 1148, 382, 27684320},
    {"mobilenet-mmrazor", "mmrazor_mobile_supernet", "07893176", 2330, 1166, 388, 27852880},
};

const Layer& layer(const std::vector<Layer>& layers, const std::string& name) {
    auto found = std::find_if(layers.begin(), layers.end(), [&](const Layer& l) { return l.name == name; });
    REQUIRE_MESSAGE(found != layers.end(), name);
    return *found;
}

}  // namespace

TEST_CASE("state dicts of supernets of chains have PyTorch's names, shapes and order") {
    for (const Known& k : kKnown) {
        CAPTURE(std::string(k.space));
        const Net net = supernet(space(k.space));
        const std::vector<std::string> lines = listing(net);
        CHECK(lines.size() == k.entries);
        CHECK(nascent_tests::crc32(fmt::format("{}", fmt::join(lines, "\n"))) == k.crc);
        const auto entries = state_entries(net.layers);
        std::set<std::string> names;
        std::size_t trained = 0;
        for (const StateEntry& e : entries) trained += e.trained, names.insert(e.name);
        CHECK(names.size() == k.entries);
        CHECK(trained == k.trained);
        auto convs = std::count_if(net.layers.begin(), net.layers.end(),
                                   [](const Layer& l) { return l.kind == LayerKind::conv; });
        CHECK(convs == static_cast<std::ptrdiff_t>(k.convs));
        CHECK(parameter_count(net.layers) == k.params);
    }
}

TEST_CASE("state dicts of supernets of chains against the listings of the real models") {
    const char* folder = std::getenv("NASCENT_STATE_DICTS");
    if (!folder) {
        MESSAGE("[SKIPPED] NASCENT_STATE_DICTS is not set");
        return;
    }
    for (const Known& k : kKnown) {
        const std::string path = fmt::format("{}/state_dict_{}.txt", folder, k.file);
        CAPTURE(path);
        std::ifstream file(path);
        REQUIRE(file);
        const std::vector<std::string> ours = listing(supernet(space(k.space)));
        std::size_t n = 0;
        for (std::string line; std::getline(file, line);) {
            if (line.empty() || line[0] == '#') continue;
            // "name (1, 2) float32"
            const std::size_t open = line.find(" ("), close = line.find(") ");
            REQUIRE((open != std::string::npos && close != std::string::npos));
            std::string shape;
            for (char c : line.substr(open + 2, close - open - 2))
                shape += c == ',' ? "x" : c == ' ' ? "" : std::string(1, c);
            while (shape.ends_with('x')) shape.pop_back();
            const std::string theirs = fmt::format("{} {} {}", line.substr(0, open), shape.empty() ? "scalar" : shape,
                                                   line.substr(close + 2) == "int64" ? "int64" : "float");
            REQUIRE(n < ours.size());
            CHECK(ours[n++] == theirs);
        }
        CHECK(n == ours.size());
    }
}

TEST_CASE("subnets of chains: names without the level of operators, numbers of tensors") {
    const Space shuffle = space("shufflenet"), channels = space("shufflenet-channels");
    const Net readme = subnet(shuffle, published_architecture(shuffle, "arch_README"));
    const Net found = subnet(channels, published_architecture(channels, "328M_block_channel"));
    auto trained = [](const Net& net) {
        const auto entries = state_entries(net.layers);
        return std::count_if(entries.begin(), entries.end(), [](const StateEntry& e) { return e.trained; });
    };
    CHECK(trained(found) == 229);  // tensors with a gradient in the original
    // Without affine BN: 82 convolutions and the classifier.
    Style plain = subnet_style(shuffle);
    plain.affine = false;
    CHECK(trained(subnet(shuffle, *readme.arch, plain)) == 83);
    auto count = [&](LayerKind kind) {
        return std::count_if(readme.layers.begin(), readme.layers.end(),
                             [&](const Layer& l) { return l.kind == kind; });
    };
    CHECK(count(LayerKind::conv) == 82);
    CHECK(count(LayerKind::batch_norm) == 82);
    CHECK(count(LayerKind::relu) == 50);
    CHECK(count(LayerKind::concat) == 20);
    CHECK(count(LayerKind::parity_split) == 16);
    CHECK(layer(readme.layers, "features.0.branch_main.3").kernel == 7);
    CHECK(layer(readme.layers, "features.11.branch_main.12").out == 160);
    CHECK(layer(readme.layers, "dropout").rate == 0.1);
    CHECK(!layer(readme.layers, "classifier.0").bias);
    CHECK(layer(found.layers, "features.2.branch_main.2").out == 25);
    const Space mobile = space("mobilenet"), mm = space("mobilenet-mmrazor");
    const Architecture rlnas = published_architecture(mobile, "RLNAS");
    const Net net = subnet(mobile, rlnas);
    CHECK(layer(net.layers, "classifier.1").bias);
    CHECK(layer(net.layers, "classifier.0").rate == 0.2);
    CHECK(layer(net.layers, "features.0.conv.3").kernel == 5);
    for (const Layer& l : net.layers) CHECK(l.block != 2);  // identity
    CHECK(layer(net.layers, "features.2.conv.0").block == 3);
    CHECK(layer(net.layers, "features.19.conv.0").block == 20);
    const Net other = subnet(mm, rlnas);
    CHECK(layer(other.layers, "backbone.layer2.0._candidates.mb_k5e3.depthwise_conv.conv").groups == 72);
    CHECK(parameter_count(other.layers) == parameter_count(net.layers));
    // The tensors of MMRazor's subnet are among its supernet's.
    std::set<std::string> all;
    for (const std::string& line : listing(supernet(mm))) all.insert(line);
    for (const std::string& line : listing(other)) CHECK(all.count("architecture." + line) == 1);
}

TEST_CASE("every layer of a chain reads what stands before it") {
    for (std::string_view name : kSpaces) {
        const Space s = space(name, {.classes = 10, .input_size = 64});
        CAPTURE(std::string(name));
        for (int shift = 0; shift < 7; ++shift) {
            Architecture arch;
            for (const Block& b : s.blocks)
                arch.ops.push_back(b.ops[static_cast<std::size_t>(b.index + shift) % b.ops.size()]);
            if (s.channels)
                for (const Block& b : s.blocks) arch.scales.push_back((b.index + shift) % 8);
            const Net net = subnet(s, arch);
            int channels = 3, size = 64, passed = 0;
            for (const Layer& l : net.layers) {
                CAPTURE(l.name);
                const Block* b = l.block < 0 ? nullptr : &s.blocks[static_cast<std::size_t>(l.block)];
                if (l.branch == Branch::projection || (b && l.kind == LayerKind::concat)) {
                    if (l.kind == LayerKind::concat) {
                        CHECK(passed + l.in == b->out);
                        channels = b->out, size = b->out_size;
                    } else {
                        CHECK(l.in_size >= b->out_size);
                        passed = l.out;  // the last of the projection's
                    }
                    if (l.kind != LayerKind::concat) continue;
                }
                // A strided block's main branch begins at the block's input, whatever stands before it.
                if (b && l.branch == Branch::main && l.in == b->in && l.in_size == b->in_size && b->stride == 2)
                    channels = l.in, size = l.in_size;
                if (l.kind == LayerKind::parity_split || l.kind == LayerKind::half_split) passed = l.out;
                if (l.kind != LayerKind::concat) {
                    CHECK(l.in == channels);
                    CHECK(l.in_size == size);
                    channels = l.out, size = l.out_size;
                }
                CHECK(l.out_size == (l.in_size + l.stride - 1) / l.stride * (l.kind != LayerKind::global_avg_pool) +
                                        (l.kind == LayerKind::global_avg_pool));
                if (l.kind == LayerKind::add) CHECK(l.out == b->in);
            }
            CHECK(channels == 10);
            CHECK(size == 1);
        }
    }
}

TEST_CASE("a chain drops out where its style says so") {
    for (std::string_view name : kSpaces) {
        const Space s = space(name);
        for (const double rate : {0.0, 0.25}) {
            Style style = supernet_style(s);
            style.dropout = rate;
            int dropouts = 0;
            for (const Layer& l : supernet(s, style).layers) {
                if (l.kind != LayerKind::dropout) continue;
                ++dropouts;
                CHECK(l.rate == rate);
            }
            CHECK(dropouts == (rate > 0));
        }
    }
}

TEST_CASE("inner widths of ShuffleNet blocks") {
    // Block, first out of its stage: MMRazor halves, the original keeps the input's width in the projection.
    const Space original = space("shufflenet"), mm = space("shufflenet-mmrazor");
    const ShuffleShape a = shuffle_shape(original, original.blocks[0]), b = shuffle_shape(mm, mm.blocks[0]);
    CHECK((a.passed == 16 && a.branch_in == 16 && a.mid == 32 && a.branch_out == 48));
    CHECK((b.passed == 32 && b.branch_in == 16 && b.mid == 32 && b.branch_out == 32));
    const ShuffleShape c = shuffle_shape(original, original.blocks[4]);
    CHECK((c.passed == 64 && c.branch_in == 64 && c.branch_out == 96));
    for (int i : {8, 16, 1, 7, 19}) {
        const auto n = static_cast<std::size_t>(i);
        const ShuffleShape x = shuffle_shape(original, original.blocks[n]), y = shuffle_shape(mm, mm.blocks[n]);
        CHECK((x.passed == y.passed && x.branch_in == y.branch_in && x.mid == y.mid && x.branch_out == y.branch_out));
    }
    // Of the architecture of the paper.
    const Space channels = space("shufflenet-channels");
    const Architecture arch = published_architecture(channels, "328M_block_channel");
    std::vector<int> mids;
    for (const Block& block : channels.blocks)
        mids.push_back(shuffle_shape(channels, block, arch.scales[static_cast<std::size_t>(block.index)]).mid);
    CHECK(mids ==
          std::vector<int>{44, 38, 25, 38, 48, 112, 64, 80, 96, 192, 256, 192, 160, 224, 256, 160, 320, 384, 320, 256});
    // As Python has it: int(half * scale), for every width and scale.
    for (const Block& block : channels.blocks) {
        for (int id = 0; id < kScales; ++id)
            CHECK(shuffle_shape(channels, block, id).mid == static_cast<int>(block.out / 2 * ((id + 1) * 2 / 10.0)));
    }
    const Space eights = space("shufflenet-channels", {.first_scale = 2, .last_scale = 9, .width_multiple = 8});
    CHECK(shuffle_shape(eights, eights.blocks[2], 3).mid == 32);
    CHECK(shuffle_shape(eights, eights.blocks[0], 6).mid == 48);
    CHECK(layer(supernet(eights).layers, "features.4.0.branch_main.0").out == 160);
    CHECK_THROWS_AS(shuffle_shape(space("mobilenet"), space("mobilenet").blocks[0]), Error);
}

TEST_CASE("spaces of chains that cannot be are refused") {
    CHECK(contains(error_of(ErrorKind::usage, [] { space("shufflnet"); }), "nearest: shufflenet"));
    CHECK(contains(error_of(ErrorKind::usage, [] { space("mobilenet", {.input_size = 100}); }), "multiple of 32"));
    CHECK(contains(error_of(ErrorKind::usage, [] { space("mobilenet", {.input_size = 8192}); }), "8192"));
    CHECK(contains(error_of(ErrorKind::usage, [] { space("mobilenet", {.classes = 0}); }), "0 classes"));
    CHECK(contains(error_of(ErrorKind::usage, [] { space("shufflenet-channels", {.last_scale = 10}); }), "0..9"));
    CHECK(contains(
        error_of(ErrorKind::usage, [] { space("shufflenet-channels", {.first_scale = 3, .last_scale = 2}); }), "3..2"));
    CHECK(contains(error_of(ErrorKind::usage, [] { space("shufflenet-channels", {.width_multiple = 0}); }),
                   "multiples of 0"));
    const Space s = space("mobilenet");
    Architecture arch = published_architecture(s, "RLNAS");
    arch.ops[4] = kIdentity;
    CHECK(contains(error_of(ErrorKind::usage, [&] { subnet(s, arch); }), "block 4"));
    arch.ops.pop_back();
    CHECK(contains(error_of(ErrorKind::usage, [&] { subnet(s, arch); }), "21 blocks"));
    Architecture scaled = published_architecture(space("shufflenet"), "README");
    scaled.scales.assign(20, 3);
    CHECK(contains(error_of(ErrorKind::usage, [&] { subnet(space("shufflenet"), scaled); }), "shufflenet-channels"));
    CHECK_NOTHROW(subnet(space("shufflenet-channels"), scaled));
    scaled.scales[7] = 8;
    CHECK(contains(error_of(ErrorKind::usage, [&] { subnet(space("shufflenet-channels"), scaled); }), "block 7"));
}
