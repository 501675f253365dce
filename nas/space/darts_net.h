// The networks around DARTS cells as plain data: cells, edges, layers in the order and with the names of the original
// PyTorch modules. Cost, supernet, evaluation networks and checkpoints all read this one description.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nas/space/darts.h"

namespace nascent::darts {

enum class Stem : std::uint8_t {
    cifar,     // one 3x3 convolution; both inputs of cell 0 are its output
    imagenet,  // three of stride 2; cell 0 reads the second and the third, as if after a reduction cell
};

/// Widths: C = channels in the first third of the cells, then 2C and 4C; cells layers/3 and 2 layers/3 reduce.
struct NetConfig {
    Stem stem = Stem::cifar;
    int classes = 10;
    int input_size = 32;  // height and width
    int channels = 36;
    int layers = 20;
    int stem_multiplier = 3;  // the stem puts out stem_multiplier x channels
    bool auxiliary = false;   // a second classifier behind cell 2 layers/3, evaluated in training only
    bool growing = false;     // a network on its way to more cells: see Growth
    bool operator==(const NetConfig&) const = default;
};

/// AngleNAS's networks of 3, 4, 5, ... cells, each the one before with a normal cell inserted in turn before the second
/// reduction cell, at the end, and before the first. A reduction cell whose two inputs have not as many channels reads
/// the previous cell twice; from six cells on there is none. Networks of 3 k + 2 cells, k > 1, are the usual ones.
struct Growth {
    int reductions[2];  // of a network of so many cells
    int insert;         // where the next cell goes
};
/// Throws ErrorKind::usage below three cells.
Growth growth_of(int cells);

/// Cells of a search network.
struct SearchCell {
    int nodes = 4;
    int multiplier = 4;         // nodes, counted from the last, that the output concatenates
    int partial = 1;            // K of PC-DARTS: operators see the first channels / K
    bool shuffle = true;        // with K > 1: a node's channels are shuffled in K groups
    bool edge_weights = false;  // PC-DARTS's betas: edges are weighed too
    bool none = true;           // `none` is one of the operators (not so in DrNAS)
    bool affine = false;        // weight and bias in all batch norms: RLNAS and AngleNAS
    /// Columns of alphas, and the operator of the first.
    int operators() const { return none ? kPrimitives : kPrimitives - 1; }
    int first_op() const { return none ? 0 : 1; }
    bool operator==(const SearchCell&) const = default;
};

/// The papers' networks for `cifar10`, `cifar100` and `imagenet`: C36 L20, C36 L20 and C48 L14 to evaluate, C16 L8 to
/// search. Throws ErrorKind::usage with the nearest name.
NetConfig evaluation_config(std::string_view data);
NetConfig search_config(std::string_view data);

/// One operator of an evaluation cell, or all primitives between two states of a search cell.
struct Edge {
    int from, to;    // states of the cell
    int stride;      // 2 from the inputs of a reduction cell
    int op;          // number of the operator, -1 for all primitives
    bool drop_path;  // dropped per picture in training: in evaluation networks all but the identity
};

struct Cell {
    int index;
    bool reduction;
    bool reduction_before;  // the first input is twice as large as the second; preprocess0 is a FactorizedReduce
    bool twice = false;     // both inputs are the previous cell's output
    int before_channels, previous_channels;  // of the two inputs
    int channels, out_channels;              // of a state, of the output
    int before_size, in_size, out_size;      // height and width of the two inputs and of the nodes
    std::vector<Edge> edges;                 // in the order of the genes, or of the rows of alpha
    std::vector<int> concat;                 // states of the output
};

enum class LayerKind : std::uint8_t {
    relu,
    conv,             // without bias
    batch_norm,       // eps 1e-5, momentum 0.1, running statistics
    max_pool,         // pads with minus infinity
    avg_pool,         // divides by the pixels inside the map
    global_avg_pool,  // whatever the size; the ImageNet original is a 7x7 pool, the same where maps are 7x7
    linear,           // with bias
};

enum class Part : std::uint8_t { stem, preprocess, edge, auxiliary, head };

/// Rows and columns.
struct Extent {
    int h = 1, w = 1;
    bool operator==(const Extent&) const = default;
};

/// A module of the network that computes something; identity and `none` have none.
struct Layer {
    LayerKind kind;
    std::string name;  // of the module: cells.0._ops.3.op.1
    Part part;
    int cell = -1;   // of preprocess and edge
    int place = -1;  // edge: index in Cell::edges; preprocess: 0 or 1
    int op = -1;     // edge: number of the operator
    int in = 0, out = 0;
    Extent kernel{1, 1}, stride{1, 1}, padding{0, 0};
    int dilation = 1;
    int groups = 1;
    int skip = 0;  // rows and columns of the input left out at the top and left: conv_2 of a FactorizedReduce
    Extent in_size{}, out_size{};
    bool affine = true;               // batch_norm: weight and bias
    std::int64_t weights() const;     // elements of the weight of conv and linear, else 0
    std::int64_t parameters() const;  // all trained numbers
};

struct Net {
    NetConfig config;
    SearchCell search{};      // of a search network
    int auxiliary_cell = -1;  // whose output the auxiliary classifier reads, -1 without one
    std::vector<Cell> cells{};
    std::vector<Layer> layers{};  // as the modules are registered: stem, cells, auxiliary, head
};

/// Throws ErrorKind::usage for numbers out of range, an odd map that a FactorizedReduce would have to halve, maps that
/// the auxiliary head does not fit, or a genotype that validate() refuses.
Net evaluation_net(const NetConfig& config, const Genotype& genotype);
/// Every primitive on every edge, BN without affine but in the stem, and after the pools. SearchCell::affine: with it.
Net search_net(const NetConfig& config, const SearchCell& cell = {});

std::int64_t parameter_count(const Net& net);

/// A tensor of a state dict, shape in PyTorch's order (conv: out, in / groups, kernel; linear: out, in; scalar: empty).
struct StateEntry {
    std::string name;
    std::vector<std::int64_t> shape;
    bool trained;  // a parameter; else a buffer
    bool int64;    // num_batches_tracked; all others are float32
    int layer;     // index in Net::layers
};
/// In the order PyTorch lists them. Alphas are no part of the original state dicts.
std::vector<StateEntry> state_entries(const Net& net);

}  // namespace nascent::darts
