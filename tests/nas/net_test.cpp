// The network around the cell: blocks, cost, names of tensors, drawings.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "nas/metric/cost.h"
#include "nas/space/nasbench201.h"
#include "nas/space/nasbench201_drawing.h"
#include "nas/space/nasbench201_net.h"
#include "tests/nas/digest.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::nb201;
using namespace nascent::test;

namespace {

std::string shape_text(const StateEntry& e) {
    std::string text;
    for (std::int64_t d : e.shape) text += fmt::format("{}{}", text.empty() ? "" : "x", d);
    return text.empty() ? "scalar" : text;
}

}  // namespace

TEST_CASE("blocks of the network") {
    std::vector<Block> blocks = net_blocks({});
    CHECK(blocks.size() == 20);
    CHECK(blocks.front().prefix == "stem");
    CHECK(blocks[18].prefix == "lastact");
    CHECK(blocks[19].prefix == "classifier");
    int searched = 0;
    for (int layer = 0; layer < 17; ++layer) {
        const Block& b = blocks[static_cast<std::size_t>(layer) + 1];
        int stage = layer < 5 ? 0 : layer < 11 ? 1 : 2;
        bool reduction = layer == 5 || layer == 11;
        CHECK(b.layer == layer);
        CHECK(b.prefix == fmt::format("cells.{}", layer));
        CHECK(b.kind == (reduction ? BlockKind::reduction : BlockKind::cell));
        CHECK(b.out_channels == 16 << stage);
        CHECK(b.in_channels == (reduction ? b.out_channels / 2 : b.out_channels));
        CHECK(b.out_size == 32 >> stage);
        CHECK(b.in_size == b.out_size * b.stride);
        CHECK(b.search_cell == (reduction ? -1 : searched++));
    }
    CHECK(searched == 15);
    CHECK(blocks[19].in_channels == 64);
    CHECK(blocks[19].out_channels == 10);
    for (NetConfig bad : {NetConfig{.classes = 0}, NetConfig{.input_size = 30}, NetConfig{.channels = -16},
                          NetConfig{.cells_per_stage = 0}, NetConfig{.channels = 1 << 30}}) {
        CHECK_THROWS_AS(net_blocks(bad), Error);
    }
}

TEST_CASE("cost of every architecture follows the published linear model") {
    struct Set {
        int classes, size;
        std::int64_t params, macs, macs3, macs1;
    };
    for (Set s : {Set{10, 32, 73306, 7783050, 35389440, 3932160}, Set{100, 32, 79156, 7788900, 35389440, 3932160},
                  Set{120, 16, 80456, 1953400, 8847360, 983040}}) {
        std::map<std::int64_t, int> histogram;
        std::int64_t total = 0;
        for (int id = 0; id < kArchitectures; ++id) {
            Architecture arch = Architecture::from_id(id);
            auto n3 = std::count(arch.ops.begin(), arch.ops.end(), Op::nor_conv_3x3);
            auto n1 = std::count(arch.ops.begin(), arch.ops.end(), Op::nor_conv_1x1);
            Cost cost = cost_of({.classes = s.classes, .input_size = s.size}, arch);
            CHECK(cost.params == s.params + 243040 * n3 + 28000 * n1);
            std::int64_t macs = s.macs + s.macs3 * n3 + s.macs1 * n1;
            CHECK(cost.of(CostConvention::nb201) == macs);
            CHECK(cost.of(CostConvention::mac) == macs - s.classes);
            // 127 instead of 64 + 1 per class
            CHECK(cost.of(CostConvention::thop) == macs + (127 - 65) * s.classes);
            ++histogram[cost.params];
            total += cost.params;
        }
        CHECK(histogram.size() == 28);
        if (s.classes == 10) {
            CHECK(total / kArchitectures == 398554);
            const std::map<std::int64_t, int> published = {
                {73306, 729},  {101306, 1458}, {129306, 1215}, {157306, 540},  {185306, 135},  {213306, 18},
                {241306, 1},   {316346, 1458}, {344346, 2430}, {372346, 1620}, {400346, 540},  {428346, 90},
                {456346, 6},   {559386, 1215}, {587386, 1620}, {615386, 810},  {643386, 180},  {671386, 15},
                {802426, 540}, {830426, 540},  {858426, 180},  {886426, 20},   {1045466, 135}, {1073466, 90},
                {1101466, 15}, {1288506, 18},  {1316506, 6},   {1531546, 1}};
            CHECK(histogram == published);
        }
    }
    CHECK(cost_of({}, from_official_index(9930)).of(cost_convention("nb201")) == 184730250);
    CHECK(cost_of({.classes = 120, .input_size = 16}, from_official_index(1462)).of(cost_convention("nb201")) ==
          55037560);
    try {
        cost_convention("macs");
        CHECK(false);
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::usage);
        CHECK(contains(e.what(), "nearest: mac"));
    }
}

TEST_CASE("parameter counts of supernets") {
    CHECK(parameter_count(supernet_layers({.classes = 10})) == 1686106);
    CHECK(parameter_count(supernet_layers({.classes = 100})) == 1691956);
    CHECK(parameter_count(supernet_layers({.classes = 120})) == 1693256);
    // AutoDL's later supernet: biases in the searched convolutions, lastact without affine.
    CHECK(parameter_count(supernet_layers({}, {.affine = false, .conv_bias = true, .lastact_affine = false})) ==
          1692698);
    // Affine BNs: two per channel, for two convolutions on six edges of five cells a stage.
    CHECK(parameter_count(supernet_layers({}, kStandAlone)) == 1686106 + 2 * 2 * 6 * 5 * (16 + 32 + 64));
    CHECK(parameter_count(supernet_layers({.channels = 4, .cells_per_stage = 1})) ==
          108 + 8 + 60 * (16 + 64 + 256) + (4 * 8 * 10 + 8 * 8 * 9 + 32) + (8 * 16 * 10 + 16 * 16 * 9 + 64) + 32 +
              16 * 10 + 10);
}

TEST_CASE("names and shapes of the supernet's state dict are PyTorch's") {
    Style style = kSupernet;
    style.arch_parameters = true;
    auto entries = state_entries(supernet_layers({}, style), style);
    CHECK(entries.size() == 760);
    // CRC-32 of the listing of a real supernet's state dict, "name shape dtype kind" line by line.
    std::string list;
    for (const StateEntry& e : entries) {
        list += fmt::format("{}{} {} {} {}", list.empty() ? "" : "\n", e.name, shape_text(e),
                            e.int64 ? "int64" : "float32", e.trained ? "param" : "buffer");
    }
    CHECK(nascent_tests::crc32(list) == "d968dcca");
    auto shape = [&](const std::string& name) -> std::string {
        for (const StateEntry& e : entries) {
            if (e.name == name) return shape_text(e);
        }
        return "absent";
    };
    CHECK(shape("arch_parameters") == "6x5");
    CHECK(shape("stem.0.weight") == "16x3x3x3");
    CHECK(shape("cells.0.edges.1<-0.3.op.1.weight") == "16x16x3x3");
    CHECK(shape("cells.16.edges.3<-2.2.op.1.weight") == "64x64x1x1");
    CHECK(shape("cells.16.edges.3<-2.2.op.2.num_batches_tracked") == "scalar");
    CHECK(shape("cells.0.edges.1<-0.3.op.2.weight") == "absent");
    CHECK(shape("cells.5.downsample.1.weight") == "32x16x1x1");
    CHECK(shape("cells.11.conv_a.op.2.running_var") == "64");
    CHECK(shape("classifier.weight") == "10x64");

    std::int64_t trained = 0;
    auto layers = supernet_layers({}, style);
    for (const StateEntry& e : entries) {
        if (e.layer >= 0 && layers[static_cast<std::size_t>(e.layer)].edge >= 0) {
            const Layer& l = layers[static_cast<std::size_t>(e.layer)];
            Edge edge = kEdgeList[static_cast<std::size_t>(l.edge)];
            CHECK(contains(e.name, fmt::format(".edges.{}<-{}.{}.op.", edge.to, edge.from, l.op)));
        } else {
            CHECK_FALSE(contains(e.name, "edges"));
        }
        std::int64_t n = 1;
        for (std::int64_t d : e.shape) n *= d;
        if (e.trained) trained += n;
    }
    CHECK(trained == 1686106 + 30);
}

TEST_CASE("names of a stand-alone network's state dict") {
    auto layers = stand_alone_layers({}, parse_architecture("(1,0,4,4,2,3)"));
    std::set<std::string> names;
    for (const StateEntry& e : state_entries(layers, kStandAlone)) CHECK(names.insert(e.name).second);
    CHECK(names.count("cells.0.layers.4.op.1.weight"));
    CHECK(names.count("cells.16.layers.5.op.2.bias"));
    CHECK(names.count("cells.16.layers.5.op.2.running_mean"));
    CHECK_FALSE(names.count("cells.0.layers.3.op.1.weight"));
    CHECK(names.count("cells.5.conv_b.op.2.bias"));
    Style bare{.affine = false, .track_running_stats = false};
    for (const StateEntry& e : state_entries(stand_alone_layers({}, parse_architecture("(1,0,4,4,2,3)"), bare), bare)) {
        CHECK_FALSE(contains(e.name, "layers.4.op.2"));
    }
}

TEST_CASE("drawings show every edge but none") {
    for (int id : {0, 1, 4242, 7777, 9999, 15624}) {
        Architecture arch = Architecture::from_id(id);
        auto drawn = static_cast<int>(kEdges - std::count(arch.ops.begin(), arch.ops.end(), Op::none));
        std::string dot = to_dot(arch), svg = to_svg(arch);
        CHECK(count_of(dot, " -> ") == drawn);
        CHECK(count_of(svg, "marker-end") == drawn);
        CHECK(count_of(svg, "<circle") == 4);
        for (std::size_t e = 0; e < kEdges; ++e) {
            std::string line =
                fmt::format("n{} -> n{} [label=\"{}\"]", kEdgeList[e].from, kEdgeList[e].to, op_name(arch.ops[e]));
            CHECK(contains(dot, line) == (arch.ops[e] != Op::none));
        }
        for (const char* part : {"rankdir=LR", "darkseagreen2", "lightblue", "palegoldenrod"})
            CHECK(contains(dot, part));
        for (const char* part : {"#b4eeb4", "#add8e6", "#eee8aa", "</svg>"}) CHECK(contains(svg, part));
    }
}

TEST_CASE("labels of a drawing lie inside it and apart from each other") {
    std::string svg = to_svg(parse_architecture("(3,3,3,3,3,3)"));
    double width = 0, height = 0;
    CHECK(std::sscanf(svg.c_str() + svg.find("viewBox"), "viewBox=\"0 0 %lf %lf\"", &width, &height) == 2);
    struct Box {
        double left, right, top, bottom;
    };
    std::vector<Box> boxes;
    for (std::size_t at = svg.find("<text"); at != std::string::npos; at = svg.find("<text", at + 1)) {
        double x = 0, y = 0;
        CHECK(std::sscanf(svg.c_str() + at, "<text x=\"%lf\" y=\"%lf\"", &x, &y) == 2);
        std::size_t from = svg.find('>', at) + 1;
        // Letters of a 15 pixel font: at most 10 wide, from 14 above the line to 4 below it.
        double half = 5.0 * static_cast<double>(svg.find('<', from) - from);
        boxes.push_back({x - half, x + half, y - 14, y + 4});
    }
    CHECK(boxes.size() == kEdges + kNodes);
    for (std::size_t i = 0; i < boxes.size(); ++i) {
        const Box& a = boxes[i];
        CHECK((a.left >= 0 && a.right <= width && a.top >= 0 && a.bottom <= height));
        for (std::size_t j = 0; j < i; ++j) {
            const Box& b = boxes[j];
            CHECK((a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top));
        }
    }
}

TEST_CASE("costs of NAS-Bench-201's layers by hand") {
    using nb201::LayerKind;
    const std::vector<nb201::Layer> layers = {
        {.kind = LayerKind::conv, .name = "a", .block = 0, .in = 3, .out = 4, .kernel = 3, .out_size = 5, .bias = true},
        {.kind = LayerKind::conv, .name = "b", .block = 0, .in = 4, .out = 2, .out_size = 5},
        {.kind = LayerKind::batch_norm, .name = "c", .block = 0, .in = 2, .out = 2, .out_size = 5},
        {.kind = LayerKind::linear, .name = "d", .block = 1, .in = 6, .out = 10, .bias = true}};
    const Cost cost = cost_of(layers);
    const std::int64_t a = 3 * 4 * 9, b = 4 * 2, d = 6 * 10;
    CHECK(cost.params == a + 4 + b + 2 * 2 + d + 10);
    const std::int64_t macs = (a + b) * 25 + d;
    const auto j = nlohmann::json::parse(macs_json(cost).text());
    CHECK(j.size() == 3);
    CHECK(j.at("mac") == macs);
    CHECK(j.at("nb201") == macs + 4 * 25 + 10);
    CHECK(j.at("thop") == macs + 4 * 25 + (6 - 1) * 10);  // multiplications and additions of the linear layer
    const auto k = nlohmann::json::parse(cost_json(nb201::Architecture{}, cost).text());
    CHECK(k.at("params") == cost.params);
    CHECK(k.at("macs") == j);
    CHECK(contains(cost_text(nb201::Architecture{}, cost), fmt::format("nb201 {:>12}", macs + 4 * 25 + 10)));
}
