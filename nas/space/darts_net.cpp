#include "nas/space/darts_net.h"

#include <algorithm>
#include <array>

#include "engine/base/error.h"
#include "nas/space/darts_derive.h"
#include "nas/space/darts_layers.h"
#include "nas/space/nearest_name.h"

namespace nascent::darts {
namespace {

struct Data {
    std::string_view name;
    int classes, size;
    Stem stem;
    int channels, layers;  // of the papers' evaluation networks
};
constexpr std::array<Data, 3> kData = {{{"cifar10", 10, 32, Stem::cifar, 36, 20},
                                        {"cifar100", 100, 32, Stem::cifar, 36, 20},
                                        {"imagenet", 1000, 224, Stem::imagenet, 48, 14}}};

const Data& data_named(std::string_view name) {
    std::vector<std::string_view> names;
    for (const Data& d : kData) {
        if (d.name == name) return d;
        names.push_back(d.name);
    }
    fail(ErrorKind::usage, "DARTS has no network for data '{}'; nearest: {}", name.substr(0, 100),
         nearest_name(name, names));
}

void check(const NetConfig& c) {
    // The upper bounds lie far above any use; they keep all counts inside int and int64, and descriptions in memory.
    auto inside = [](std::string_view what, int value, int low, int high) {
        NASCENT_CHECK(value >= low && value <= high, usage, "DARTS network: {} {}; expected {}..{}", what, value, low,
                      high);
    };
    inside("classes", c.classes, 1, 1000000);
    inside("input size", c.input_size, 1, 4096);
    inside("channels", c.channels, 1, 4096);
    inside("layers", c.layers, 1, 500);
    inside("stem multiplier", c.stem_multiplier, 1, 16);
    NASCENT_CHECK(c.stem == Stem::cifar || c.stem_multiplier * c.channels > 1, usage,
                  "DARTS network: {} channels out of the ImageNet stem; expected two or more",
                  c.stem_multiplier * c.channels);
}

/// Writes a network cell by cell.
class NetWriter {
  public:
    NetWriter(const NetConfig& config, bool affine) : net_{.config = config}, write_(net_.layers), affine_(affine) {
        check(config);
    }

    /// `fill` sets edges and concat of a cell; `write_edge` writes the layers of an edge.
    template <class Fill, class WriteEdge>
    Net build(const Fill& fill, const WriteEdge& write_edge) {
        const NetConfig& c = net_.config;
        stem();
        bool reduced = c.stem == Stem::imagenet;
        int width = c.channels;
        Flow auxiliary_input{};
        const std::array<int, 2> places =
            c.growing ? std::to_array(growth_of(c.layers).reductions) : std::array{c.layers / 3, 2 * c.layers / 3};
        for (int i = 0; i < c.layers; ++i) {
            const bool reduction = i == places[0] || i == places[1];
            if (reduction) width *= 2;
            const bool twice = c.growing && reduction && before_.channels != previous_.channels;
            if (twice) before_ = previous_, reduced = false;
            Cell cell{.index = i,
                      .reduction = reduction,
                      .reduction_before = reduced,
                      .twice = twice,
                      .before_channels = before_.channels,
                      .previous_channels = previous_.channels,
                      .channels = width,
                      .out_channels = 0,
                      .before_size = before_.size.h,
                      .in_size = previous_.size.h,
                      .out_size = reduction ? (previous_.size.h + 1) / 2 : previous_.size.h,
                      .edges = {},
                      .concat = {}};
            fill(cell);
            cell.out_channels = width * static_cast<int>(cell.concat.size());
            preprocess(cell);
            for (std::size_t e = 0; e < cell.edges.size(); ++e) write_edge(write_, cell, static_cast<int>(e));
            before_ = previous_;
            previous_ = {cell.out_channels, {cell.out_size, cell.out_size}};
            if (i == 2 * c.layers / 3) auxiliary_input = previous_;
            reduced = reduction;
            net_.cells.push_back(std::move(cell));
        }
        if (c.auxiliary) {
            net_.auxiliary_cell = 2 * c.layers / 3;
            write_.at({.part = Part::auxiliary});
            write_.auxiliary_head(auxiliary_input, c);
        }
        write_.at({.part = Part::head});
        write_.linear("classifier", write_.global_pool("global_pooling", previous_), c.classes);
        return std::move(net_);
    }

  private:
    void stem() {
        const NetConfig& c = net_.config;
        const int width = c.stem_multiplier * c.channels;
        const Flow picture{3, {c.input_size, c.input_size}};
        write_.at({.part = Part::stem});  // affine in search networks too
        if (c.stem == Stem::cifar) {
            before_ = previous_ =
                write_.norm("stem.1", write_.conv("stem.0", picture, width, LayerWriter::square(3, 1, 1)));
            return;
        }
        const auto half = LayerWriter::square(3, 2, 1);
        Flow x = write_.norm("stem0.1", write_.conv("stem0.0", picture, width / 2, half));
        x = write_.relu("stem0.2", x);
        before_ = write_.norm("stem0.4", write_.conv("stem0.3", x, width, half));
        x = write_.relu("stem1.0", before_);
        previous_ = write_.norm("stem1.2", write_.conv("stem1.1", x, width, half));
    }

    void preprocess(const Cell& cell) {
        const std::string prefix = fmt::format("cells.{}.preprocess", cell.index);
        auto at = [&](int place) {
            write_.at({.part = Part::preprocess, .cell = cell.index, .place = place, .affine = affine_});
        };
        at(0);
        const Flow first = cell.reduction_before ? write_.factorized_reduce(prefix + "0", before_, cell.channels)
                                                 : write_.relu_conv_bn(prefix + "0", before_, cell.channels);
        NASCENT_CHECK(first.size == previous_.size, usage, "{}0 puts out {} rows, the previous cell {}", prefix,
                      first.size.h, previous_.size.h);
        at(1);
        write_.relu_conv_bn(prefix + "1", previous_, cell.channels);
    }

    Net net_;
    LayerWriter write_;
    bool affine_;
    Flow before_{}, previous_{};
};

/// What an operator of `cell` reads on edge `e`.
Flow edge_input(const Cell& cell, const Edge& edge, int channels) {
    const int size = edge.from < kInputs ? cell.in_size : cell.out_size;
    return {channels, {size, size}};
}

}  // namespace

Growth growth_of(int cells) {
    NASCENT_CHECK(cells >= 3, usage, "a growing DARTS network has three cells or more, not {}", cells);
    const int first = 1 + (cells - 3) / 3, middle = (cells - 1) / 3, last = (cells - 2) / 3;
    const int second = first + 1 + middle;
    return {{first, second}, middle < first ? second : last < middle ? cells : first};
}

NetConfig evaluation_config(std::string_view data) {
    const Data& d = data_named(data);
    return {.stem = d.stem,
            .classes = d.classes,
            .input_size = d.size,
            .channels = d.channels,
            .layers = d.layers,
            .stem_multiplier = d.stem == Stem::cifar ? 3 : 1};
}

NetConfig search_config(std::string_view data) {
    const Data& d = data_named(data);
    return {.stem = d.stem, .classes = d.classes, .input_size = d.size, .channels = 16, .layers = 8};
}

Net evaluation_net(const NetConfig& config, const Genotype& genotype) {
    validate(genotype);
    auto fill = [&](Cell& cell) {
        const std::vector<Gene>& genes = cell.reduction ? genotype.reduce : genotype.normal;
        cell.concat = cell.reduction ? genotype.reduce_concat : genotype.normal_concat;
        for (std::size_t g = 0; g < genes.size(); ++g) {
            const int stride = cell.reduction && genes[g].from < kInputs ? 2 : 1;
            cell.edges.push_back({.from = genes[g].from,
                                  .to = kInputs + static_cast<int>(g / 2),
                                  .stride = stride,
                                  .op = static_cast<int>(genes[g].op),
                                  .drop_path = genes[g].op != Op::skip_connect || stride == 2});
        }
    };
    return NetWriter(config, true).build(fill, [](LayerWriter& to, const Cell& cell, int e) {
        const Edge& edge = cell.edges[static_cast<std::size_t>(e)];
        to.at({.part = Part::edge, .cell = cell.index, .place = e, .op = edge.op});
        to.op(fmt::format("cells.{}._ops.{}", cell.index, e), static_cast<Op>(edge.op),
              edge_input(cell, edge, cell.channels), edge.stride, false);
    });
}

Net search_net(const NetConfig& config, const SearchCell& shape) {
    NASCENT_CHECK(shape.nodes >= 1 && shape.nodes <= 12 && shape.multiplier >= 1 && shape.multiplier <= shape.nodes,
                  usage, "DARTS search cell: {} nodes, multiplier {}; expected 1..12 nodes and at most as many",
                  shape.nodes, shape.multiplier);
    NASCENT_CHECK(shape.partial >= 1 && config.channels % shape.partial == 0, usage,
                  "DARTS search cell: the operators see one channel in {}, which does not divide {}", shape.partial,
                  config.channels);
    NASCENT_CHECK(!config.auxiliary, usage, "DARTS search networks have no auxiliary head");
    auto fill = [&](Cell& cell) {
        for (int node = 0; node < shape.nodes; ++node) {
            for (int from = 0; from < kInputs + node; ++from) {
                cell.edges.push_back({.from = from,
                                      .to = kInputs + node,
                                      .stride = cell.reduction && from < kInputs ? 2 : 1,
                                      .op = -1,
                                      .drop_path = false});
            }
        }
        for (int i = shape.nodes - shape.multiplier; i < shape.nodes; ++i) cell.concat.push_back(kInputs + i);
    };
    Net net = NetWriter(config, shape.affine).build(fill, [&](LayerWriter& to, const Cell& cell, int e) {
        const Edge& edge = cell.edges[static_cast<std::size_t>(e)];
        const std::string prefix = fmt::format("cells.{}._ops.{}", cell.index, e);
        const int seen = cell.channels / shape.partial;
        for (int op = shape.first_op(); op < kPrimitives; ++op) {
            to.at({.part = Part::edge, .cell = cell.index, .place = e, .op = op, .affine = shape.affine});
            to.op(fmt::format("{}._ops.{}", prefix, op - shape.first_op()), static_cast<Op>(op),
                  edge_input(cell, edge, seen), edge.stride, true);
        }
        // Of the channels that no operator sees, reduction cells take the maximum of 2 x 2.
        if (shape.partial > 1 && edge.stride == 2) {
            to.at({.part = Part::edge, .cell = cell.index, .place = e});
            to.pool(prefix + ".mp", LayerKind::max_pool, edge_input(cell, edge, cell.channels - seen), 2, 2, 0);
        }
    });
    net.search = shape;
    return net;
}

}  // namespace nascent::darts
