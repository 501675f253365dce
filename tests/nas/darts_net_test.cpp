// Networks around DARTS cells: cells, layers, names of tensors.
#include "nas/space/darts_net.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "nas/space/darts_derive.h"
#include "nas/space/darts_genotypes.h"
#include "tests/nas/digest.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::darts;
using namespace nascent::test;

namespace {

/// "name shape dtype kind" of every tensor, line by line.
std::string listing(const Net& net) {
    std::string list;
    for (const StateEntry& e : state_entries(net)) {
        std::string shape;
        for (std::int64_t d : e.shape) shape += fmt::format("{}{}", shape.empty() ? "" : "x", d);
        list += fmt::format("{}{} {} {} {}", list.empty() ? "" : "\n", e.name, shape.empty() ? "scalar" : shape,
                            e.int64 ? "int64" : "float32", e.trained ? "param" : "buffer");
    }
    return list;
}

const Layer& layer(const Net& net, const std::string& name) {
    auto found = std::find_if(net.layers.begin(), net.layers.end(), [&](const Layer& l) { return l.name == name; });
    REQUIRE(found != net.layers.end());
    return *found;
}

NetConfig with_auxiliary(NetConfig config) {
    config.auxiliary = true;
    return config;
}

}  // namespace

TEST_CASE("state dicts of DARTS networks have PyTorch's names, shapes and order") {
    // Number of tensors and CRC-32 of the listings of the real models' state dicts in PyTorch 1.13.
    struct Row {
        const char* what;
        Net net;
        int tensors;
        const char* crc;
    };
    const Genotype v2 = published_genotype("DARTS_V2");
    const NetConfig cifar = evaluation_config("cifar10"), imagenet = evaluation_config("imagenet");
    for (const Row& row : {
             Row{"DARTS search, C16 L8", search_net(search_config("cifar10")), 4186, "bc718543"},
             Row{"DARTS_V2, C36 L20, auxiliary", evaluation_net(with_auxiliary(cifar), v2), 1650, "3482e64c"},
             Row{"DARTS_V2, C36 L20", evaluation_net(cifar, v2), 1636, "09c640b9"},
             Row{"DARTS_V2, C48 L14, auxiliary", evaluation_net(with_auxiliary(imagenet), v2), 1124, "b2098abe"},
             Row{"DARTS_V2, C48 L14", evaluation_net(imagenet, v2), 1115, "5fd8795d"},
             Row{"PC-DARTS search, K 4", search_net(search_config("cifar10"), {.partial = 4}), 4186, "bb97c928"},
             Row{"PC-DARTS search, ImageNet, K 2", search_net(search_config("imagenet"), {.partial = 2}), 4199,
                 "811028d2"},
         }) {
        CAPTURE(std::string(row.what));
        const std::string list = listing(row.net);
        CHECK(count_of(list, "\n") + 1 == row.tensors);
        CHECK(nascent_tests::crc32(list) == row.crc);
        std::set<std::string> names;
        for (const StateEntry& e : state_entries(row.net)) CHECK(names.insert(e.name).second);
    }
}

TEST_CASE("numbers of tensors for every published cell") {
    // Of the real models with auxiliary head, without, and with but without num_batches_tracked.
    struct Row {
        const char* name;
        int cifar[3], imagenet[3];
    };
    for (const Row& row :
         {Row{"DARTS_V1", {1524, 1510, 1301}, {1040, 1031, 888}},
          Row{"DARTS_V2", {1650, 1636, 1409}, {1124, 1115, 960}}, Row{"EvNASA", {1748, 1734, 1493}, {1222, 1213, 1044}},
          Row{"EvNASB", {1846, 1832, 1577}, {1278, 1269, 1092}}, Row{"EvNASC", {1608, 1594, 1373}, {1124, 1115, 960}},
          Row{"PC_DARTS_cifar", {1720, 1706, 1469}, {1236, 1227, 1056}},
          Row{"PC_DARTS_image", {1818, 1804, 1553}, {1292, 1283, 1104}}}) {
        CAPTURE(std::string(row.name));
        for (const char* data : {"cifar10", "imagenet"}) {
            const int* expected = data == std::string("cifar10") ? row.cifar : row.imagenet;
            NetConfig config = evaluation_config(data);
            const Genotype genotype = published_genotype(row.name);
            CHECK(state_entries(evaluation_net(config, genotype)).size() == static_cast<std::size_t>(expected[1]));
            config.auxiliary = true;
            const auto entries = state_entries(evaluation_net(config, genotype));
            CHECK(entries.size() == static_cast<std::size_t>(expected[0]));
            CHECK(std::count_if(entries.begin(), entries.end(), [](const StateEntry& e) { return !e.int64; }) ==
                  expected[2]);
        }
    }
    const Net search = search_net(search_config("cifar10"));
    const auto entries = state_entries(search);
    CHECK(std::count_if(entries.begin(), entries.end(), [](const StateEntry& e) { return e.trained; }) == 1399);
    CHECK(std::count_if(search.layers.begin(), search.layers.end(),
                        [](const Layer& l) { return l.kind == LayerKind::batch_norm; }) == 929);
}

TEST_CASE("cells of the standard networks") {
    for (auto [layers, first, second] : {std::array{8, 2, 5}, {14, 4, 9}, {20, 6, 13}, {1, 0, 0}, {2, 0, 1}}) {
        NetConfig config = evaluation_config("cifar10");
        config.layers = layers;
        const Net net = evaluation_net(config, published_genotype("DARTS_V2"));
        CHECK(net.cells.size() == static_cast<std::size_t>(layers));
        for (const Cell& c : net.cells) {
            CAPTURE(c.index);
            CHECK(c.reduction == (c.index == first || c.index == second));
            const int halvings = (c.index >= first) + (c.index >= second && second != first);
            CHECK(c.channels == 36 << halvings);
            CHECK(c.out_channels == 4 * c.channels);
            CHECK(c.out_size == 32 >> halvings);
            CHECK(c.in_size == (c.reduction ? 2 : 1) * c.out_size);
            CHECK(c.before_size == (c.reduction_before ? 2 : 1) * c.in_size);
            if (c.index == 0) CHECK((c.before_channels == 108 && c.previous_channels == 108 && !c.reduction_before));
            if (c.index > 0)
                CHECK(c.previous_channels == net.cells[static_cast<std::size_t>(c.index) - 1].out_channels);
        }
    }
    const Net imagenet = evaluation_net(with_auxiliary(evaluation_config("imagenet")), published_genotype("DARTS_V2"));
    for (const Cell& c : imagenet.cells) CHECK(c.out_size == (c.index < 4 ? 28 : c.index < 9 ? 14 : 7));
    CHECK(imagenet.cells[0].reduction_before);
    CHECK(imagenet.cells[0].before_size == 56);
    CHECK(imagenet.cells[0].before_channels == 48);
    CHECK(imagenet.auxiliary_cell == 9);
    CHECK(layer(imagenet, "auxiliary_head.features.2").in == 768);
    CHECK(layer(imagenet, "auxiliary_head.features.1").stride == Extent{2, 2});
    CHECK(layer(imagenet, "global_pooling").kernel == Extent{7, 7});
}

TEST_CASE("edges of cells: strides, order, drop path") {
    const Genotype v2 = published_genotype("DARTS_V2");
    const Net net = evaluation_net(evaluation_config("cifar10"), v2);
    for (const Cell& c : net.cells) {
        const auto& genes = c.reduction ? v2.reduce : v2.normal;
        REQUIRE(c.edges.size() == genes.size());
        for (std::size_t e = 0; e < genes.size(); ++e) {
            CHECK(c.edges[e].from == genes[e].from);
            CHECK(c.edges[e].to == 2 + static_cast<int>(e) / 2);
            CHECK(c.edges[e].op == static_cast<int>(genes[e].op));
            CHECK(c.edges[e].stride == (c.reduction && genes[e].from < 2 ? 2 : 1));
            CHECK(c.edges[e].drop_path == !(genes[e].op == Op::skip_connect && c.edges[e].stride == 1));
        }
    }
    const Genotype nasnet = published_genotype("NASNet");
    const Net five = evaluation_net(evaluation_config("cifar10"), nasnet);
    CHECK(five.cells[0].out_channels == 5 * 36);
    CHECK(five.cells[6].out_channels == 3 * 72);
    CHECK(five.cells[6].concat == nasnet.reduce_concat);
    const Net search = search_net(search_config("cifar10"));
    for (const Cell& c : search.cells) {
        REQUIRE(c.edges.size() == 14);
        for (int node = 0; node < 4; ++node) {
            for (int from = 0; from < 2 + node; ++from) {
                const Edge& e = c.edges[static_cast<std::size_t>(edge_index(node, from))];
                CHECK((e.from == from && e.to == 2 + node && e.op == -1 && !e.drop_path));
                CHECK(e.stride == (c.reduction && from < 2 ? 2 : 1));
            }
        }
    }
    // Of PC-DARTS only the strided edges pool what goes round their operators.
    const Net partial = search_net(search_config("cifar10"), {.partial = 4});
    for (const Cell& c : partial.cells) {
        for (std::size_t e = 0; e < c.edges.size(); ++e) {
            const std::string name = fmt::format("cells.{}._ops.{}.mp", c.index, e);
            const auto pools = std::count_if(partial.layers.begin(), partial.layers.end(),
                                             [&](const Layer& l) { return l.name == name; });
            CHECK(pools == (c.edges[e].stride == 2));
            if (pools)
                CHECK((layer(partial, name).in == c.channels * 3 / 4 && layer(partial, name).out_size.h == c.out_size));
        }
    }
    CHECK((SearchCell{}.operators() == 8 && SearchCell{.none = false}.operators() == 7));
    CHECK((SearchCell{}.first_op() == 0 && SearchCell{.none = false}.first_op() == 1));
    const Net other = search_net({.channels = 8, .layers = 3, .stem_multiplier = 2}, {.nodes = 3, .multiplier = 2});
    CHECK(other.cells[0].edges.size() == 9);
    CHECK(other.cells[0].concat == std::vector<int>{3, 4});
    CHECK(layer(other, "stem.0").out == 16);
}

TEST_CASE("every layer reads what another puts out, at the sizes of PyTorch's formula") {
    for (const char* data : {"cifar10", "imagenet"}) {
        for (const Published& p : published_cells()) {
            if (p.family != Family::convolutional) continue;
            const Net net = evaluation_net(with_auxiliary(evaluation_config(data)), parse_genotype(p.text));
            for (std::size_t i = 0; i < net.layers.size(); ++i) {
                const Layer& l = net.layers[i];
                CAPTURE(l.name);
                // The layers of an operator follow each other; conv_1 and conv_2 of a FactorizedReduce stand beside.
                const bool beside = contains(l.name, "conv_2") || contains(l.name, ".bn");
                if (i > 0 && l.part == net.layers[i - 1].part && l.cell == net.layers[i - 1].cell &&
                    l.place == net.layers[i - 1].place && !beside && l.name != "stem1.0") {
                    CHECK(l.in == net.layers[i - 1].out);
                    CHECK(l.in_size == net.layers[i - 1].out_size);
                }
                if (l.part == Part::edge && l.kind == LayerKind::batch_norm) {
                    CHECK(l.out == net.cells[static_cast<std::size_t>(l.cell)].channels);
                    CHECK(l.out_size.h == net.cells[static_cast<std::size_t>(l.cell)].out_size);
                    CHECK(l.out_size.w == l.out_size.h);
                }
                if (l.kind == LayerKind::conv) {
                    auto size = [&](int in, int kernel, int stride, int padding) {
                        return (in - l.skip + 2 * padding - l.dilation * (kernel - 1) - 1) / stride + 1;
                    };
                    CHECK(l.out_size.h == size(l.in_size.h, l.kernel.h, l.stride.h, l.padding.h));
                    CHECK(l.out_size.w == size(l.in_size.w, l.kernel.w, l.stride.w, l.padding.w));
                }
            }
        }
    }
    // The operators that no derived cell has, with stride 2: 72 channels, from 32 x 32 to 16 x 16.
    const Net net = evaluation_net(evaluation_config("cifar10"), published_genotype("AmoebaNet"));
    const Layer &row = layer(net, "cells.6._ops.8.1"), &column = layer(net, "cells.6._ops.8.2");
    CHECK((row.kernel == Extent{1, 7} && row.padding == Extent{0, 3} && row.stride == Extent{1, 2}));
    CHECK((row.out_size == Extent{32, 16} && row.groups == 1));
    CHECK((column.kernel == Extent{7, 1} && column.padding == Extent{3, 0} && column.stride == Extent{2, 1}));
    CHECK(column.out_size == Extent{16, 16});
    const Layer& wide = layer(net, "cells.6._ops.4.op.1");
    CHECK((wide.kernel == Extent{7, 7} && wide.padding == Extent{3, 3} && wide.groups == 72 && wide.dilation == 1));
    const Net v2 = evaluation_net(evaluation_config("cifar10"), published_genotype("DARTS_V2"));
    const Layer& dilated = layer(v2, "cells.0._ops.7.op.1");
    CHECK((dilated.dilation == 2 && dilated.padding == Extent{2, 2} && dilated.groups == 36));
    CHECK(layer(v2, "cells.7.preprocess0.conv_1").skip == 0);
    CHECK(layer(v2, "cells.7.preprocess0.conv_2").skip == 1);
}

TEST_CASE("odd widths halve into a smaller and a larger convolution") {
    const Net net = evaluation_net({.stem = Stem::imagenet, .input_size = 64, .channels = 45, .stem_multiplier = 1},
                                   published_genotype("DARTS_V2"));
    CHECK(layer(net, "stem0.0").out == 22);
    CHECK(layer(net, "cells.0.preprocess0.conv_1").out == 22);
    CHECK(layer(net, "cells.0.preprocess0.conv_2").out == 23);
    CHECK(layer(net, "cells.0.preprocess0.bn").out == 45);
}

TEST_CASE("networks that cannot be are refused") {
    const Genotype v2 = published_genotype("DARTS_V2");
    auto expect = [&](const NetConfig& config, std::initializer_list<const char*> parts) {
        const std::string m = error_of(ErrorKind::usage, [&] { evaluation_net(config, v2); });
        CAPTURE(m);
        for (const char* part : parts) CHECK(contains(m, part));
    };
    expect({.input_size = 30}, {"cells.14.preprocess0", "FactorizedReduce", "15 x 15", "even"});
    expect({.input_size = 31}, {"cells.7.preprocess0", "31 x 31"});
    expect({.stem = Stem::imagenet, .input_size = 64, .channels = 1, .stem_multiplier = 2},
           {"cells.0.preprocess0", "1 channel", "two or more"});
    expect({.stem = Stem::imagenet, .input_size = 64, .channels = 1, .stem_multiplier = 1}, {"1 channels", "stem"});
    expect({.input_size = 44, .auxiliary = true}, {"auxiliary head", "11 x 11", "8..10"});
    expect({.input_size = 16, .auxiliary = true}, {"4 x 4"});
    expect({.stem = Stem::imagenet, .input_size = 320, .channels = 8, .stem_multiplier = 1, .auxiliary = true},
           {"10 x 10", "7..8"});
    CHECK_NOTHROW(evaluation_net({.input_size = 40, .auxiliary = true}, v2));
    expect({.classes = 0}, {"classes 0", "1..1000000"});
    expect({.channels = -1}, {"channels -1"});
    expect({.channels = 1 << 30}, {"1..4096"});
    expect({.layers = 0}, {"layers 0"});
    expect({.stem_multiplier = 0}, {"stem multiplier 0"});
    // A cell without a strided skip takes odd maps where nothing halves them again: ceiling of the half.
    const Genotype pools = parse_genotype(
        "Genotype(normal=[(max_pool_3x3, 0), (none, 1)], normal_concat=[2], reduce=[(sep_conv_5x5, 0), (none, 1)], "
        "reduce_concat=[2])");
    const Net odd = evaluation_net({.input_size = 9, .layers = 1}, pools);
    CHECK(odd.cells[0].out_size == 5);
    CHECK(layer(odd, "global_pooling").in_size == Extent{5, 5});

    Genotype wrong = v2;
    wrong.reduce[3].from = 4;
    CHECK(contains(error_of(ErrorKind::usage, [&] { evaluation_net({}, wrong); }), "node 1 of reduce"));
    CHECK(contains(error_of(ErrorKind::usage, [] { search_net({.auxiliary = true}); }), "auxiliary"));
    CHECK(contains(error_of(ErrorKind::usage, [] { search_net({}, {.multiplier = 5}); }), "multiplier 5"));
    CHECK(contains(error_of(ErrorKind::usage, [] { search_net({}, {.nodes = 13}); }), "13 nodes"));
    CHECK(contains(error_of(ErrorKind::usage, [] { search_net({.channels = 18}, {.partial = 4}); }),
                   "does not divide 18"));
    CHECK(contains(error_of(ErrorKind::usage, [] { search_net({.input_size = 1, .channels = 16, .layers = 8}); }),
                   "1 x 1 map"));
    CHECK(contains(error_of(ErrorKind::usage, [] { evaluation_config("cifar"); }), "nearest: cifar10"));
}
