// The network around a NAS-Bench-201 cell as plain data: blocks, layers, and the PyTorch names of its tensors. Cost,
// supernet, checkpoints and angle all read this one description.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "nas/space/nasbench201.h"

namespace nascent::nb201 {

/// Widths are channels, 2 x channels and 4 x channels; the benchmark's own network is the default.
struct NetConfig {
    int classes = 10;
    int input_size = 32;  // height and width
    int channels = 16;
    int cells_per_stage = 5;
    bool operator==(const NetConfig&) const = default;
};

enum class BlockKind { stem, cell, reduction, last_activation, classifier };

/// One block. `prefix` is its name in state dicts: stem, cells.0 ... cells.16, lastact, classifier.
struct Block {
    BlockKind kind;
    std::string prefix;
    int layer = -1;        // N of cells.N
    int search_cell = -1;  // counts searched cells only (0..14)
    int in_channels = 0, out_channels = 0;
    int stride = 1;
    int in_size = 0, out_size = 0;  // height and width
};

/// stem, cells and reduction blocks in order, lastact, classifier (its size 1: it follows the global average pool).
/// Throws ErrorKind::usage unless every number is positive and the input size is a multiple of 4.
std::vector<Block> net_blocks(const NetConfig& config);

/// What is built differently in published variants.
struct Style {
    bool affine = true;               // weight and bias in the BNs of searched cells
    bool track_running_stats = true;  // running statistics in the BNs of searched cells
    bool conv_bias = false;           // biases in the convolutions of searched cells (later AutoDL supernets)
    bool lastact_affine = true;
    bool arch_parameters = false;  // the 6 x 5 logits at the front of the state dict
    int partial = 1;               // operators of searched cells see one channel in so many
    bool operator==(const Style&) const = default;
};
/// The benchmark's networks.
inline constexpr Style kStandAlone{};
/// The supernets of RLNAS and of AutoDL when its ICLR 2020 tables were made.
inline constexpr Style kSupernet{.affine = false};

enum class LayerKind { conv, batch_norm, linear };

/// A layer with weights (or, a BN without affine, only with statistics).
struct Layer {
    LayerKind kind;
    std::string name;  // of the module: cells.0.edges.1<-0.3.op.1
    int block;         // index in net_blocks()
    int edge = -1;     // canonical edge and
    int op = -1;       // operator number of a layer in a searched cell
    int in = 0, out = 0;
    int kernel = 1;
    int out_size = 1;                 // height and width of what it puts out
    bool bias = false;                // conv and linear
    bool affine = true;               // batch_norm: weight and bias
    bool track = true;                // batch_norm: running statistics
    std::int64_t weights() const;     // elements of the main weight of conv and linear, else 0
    std::int64_t parameters() const;  // all trained numbers
};

/// The network of one architecture, named as the benchmark's state dicts: cells.K.layers.E.op.J, E the edge.
std::vector<Layer> stand_alone_layers(const NetConfig& config, const Architecture& arch,
                                      const Style& style = kStandAlone);
/// All operators on all edges, named as the supernet's: cells.K.edges.TO<-FROM.OP.op.J. Throws ErrorKind::usage where
/// style.partial does not divide the channels.
std::vector<Layer> supernet_layers(const NetConfig& config, const Style& style = kSupernet);
std::int64_t parameter_count(const std::vector<Layer>& layers);

/// A tensor of a state dict, shape in PyTorch's order (conv: out, in, kernel, kernel; linear: out, in; scalar: empty).
struct StateEntry {
    std::string name;
    std::vector<std::int64_t> shape;
    bool trained;  // a parameter; else a buffer
    bool int64;    // num_batches_tracked; all others are float32
    int layer;     // index in `layers`, -1 for arch_parameters
};
/// In the order PyTorch lists them. `style` only says whether arch_parameters come first.
std::vector<StateEntry> state_entries(const std::vector<Layer>& layers, const Style& style);

}  // namespace nascent::nb201
