// Networks of chains as plain data: layers in the order and with the names of the original PyTorch modules. Cost,
// supernets, subnets and checkpoints all read this one description.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nas/space/chain.h"

namespace nascent::chain {

enum class LayerKind : std::uint8_t {
    conv,        // without bias
    batch_norm,  // eps 1e-5, momentum 0.1, running statistics
    relu,
    relu6,
    parity_split,     // even channels are passed through, odd ones go on to the branch, in order (both `out` wide)
    half_split,       // the first half of the channels is passed through, the second goes on to the branch
    concat,           // projection or passed-through channels, then those of the main branch
    shuffle,          // two groups: channel c of the first half becomes 2c, of the second 2c + 1
    add,              // the block's input is added to the main branch
    global_avg_pool,  // whatever the size; SPOS's original is a 7x7 pool, the same where maps are 7x7
    dropout,
    linear,
};

enum class Part : std::uint8_t { stem, block, head };
enum class Branch : std::uint8_t {
    trunk,  // stem, head, and what joins a block's branches
    main,
    projection,  // of ShuffleNet's strided blocks, from the block's whole input
};

/// A module that computes something, or a step that only moves or joins channels. The module of an identity is no
/// layer, unless it is MMRazor's 1x1 convolution.
struct Layer {
    LayerKind kind;
    std::string name;  // of the module: features.0.2.branch_main.3; of the block, and what it does, for steps
    Part part;
    Branch branch = Branch::trunk;
    int block = -1;  // index of the block, -1 in stem and head
    int op = -1;     // its operator's id, where block >= 0
    int in = 0, out = 0;
    int kernel = 1, stride = 1, padding = 0, groups = 1;
    int in_size = 1, out_size = 1;    // height and width
    bool affine = true;               // batch_norm: weight and bias
    bool bias = false;                // linear
    double rate = 0;                  // dropout
    std::int64_t weights() const;     // elements of the weight of conv and linear, else 0
    std::int64_t parameters() const;  // all trained numbers
};

/// What is built differently in published variants.
struct Style {
    bool affine = true;  // BN weight and bias
    bool classifier_bias = true;
    double dropout = 0;      // before the classifier; 0: no such module
    std::string prefix;      // of every name
    std::string classifier;  // name of the linear layer
    bool operator==(const Style&) const = default;
};
/// As published: SPOS trains its supernet with BN without affine, all others with; dropout 0.1 in SPOS, 0.2 in
/// AngleNAS's retrained networks (where the classifier is classifier.1), none elsewhere; SPOS's classifier has no bias;
/// MMRazor's supernet is called `architecture.`.
Style supernet_style(const Space& space);
Style subnet_style(const Space& space);

struct Net {
    Space space;
    Style style;
    std::optional<Architecture> arch;  // none: a supernet, with all operators of every block
    std::vector<Layer> layers{};       // as the modules are registered: stem, blocks, head
};

/// Every operator of every block, inner widths at the widest scale. Names as in the original's state dict.
Net supernet(const Space& space, const Style& style);
Net supernet(const Space& space);
/// One operator per block. The level of operators is left out of the original's names, which count the blocks that are
/// no identity; MMRazor's keep theirs. Throws ErrorKind::usage where validate() does.
Net subnet(const Space& space, const Architecture& arch, const Style& style);
Net subnet(const Space& space, const Architecture& arch);

/// The layers of one operator of a block alone; `scale` only matters where channels are searched.
std::vector<Layer> block_layers(const Space& space, const Block& block, int op, int scale, const Style& style);
/// Stem and head.
std::vector<Layer> fixed_layers(const Space& space, const Style& style);

std::int64_t parameter_count(const std::vector<Layer>& layers);

/// A tensor of a state dict, shape in PyTorch's order (conv: out, in / groups, kernel, kernel; linear: out, in; scalar:
/// empty).
struct StateEntry {
    std::string name;
    std::vector<std::int64_t> shape;
    bool trained;  // a parameter; else a buffer
    bool int64;    // num_batches_tracked; all others are float32
    int layer;     // index in the list
};
/// In the order PyTorch lists them.
std::vector<StateEntry> state_entries(const std::vector<Layer>& layers);

/// Widths inside a ShuffleNetV2 block.
struct ShuffleShape {
    int passed;      // channels of the passed-through half, or that the projection puts out: first in the concatenation
    int branch_in;   // channels the main branch reads
    int mid;         // inner width
    int branch_out;  // channels the main branch puts out: passed + branch_out = the block's width
};
ShuffleShape shuffle_shape(const Space& space, const Block& block, int scale = kUnscaled);
/// Whether an MBConv adds the block's input: stride 1 and equal widths.
bool has_residual(const Block& block);

}  // namespace nascent::chain
