// Search spaces whose networks are one chain of blocks, an operator chosen for each: ShuffleNetV2 of Single Path
// One-Shot (Guo et al., ECCV 2020) and the MobileNet space of ProxylessNAS as AngleNAS, RLNAS and MMRazor search it.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nascent::chain {

enum class Family : std::uint8_t { shufflenet, mobilenet };
/// Whose variant of the family.
enum class Rules : std::uint8_t {
    original,  // SinglePathOneShot; AngleNAS and RLNAS, which allow no identity in the first block of a stage
    mmrazor,   // halves of equal width in ShuffleNet's strided blocks; identity everywhere in MobileNet
    fairnas,   // the smaller MobileNet of FairNAS, no identity
};

enum class OpKind : std::uint8_t { shuffle, xception, mbconv, identity };

struct Op {
    int id;                 // as the papers' tuples write it
    std::string_view name;  // of the candidate in MMRazor
    OpKind kind;
    int kernel;     // of the depthwise convolutions
    int expansion;  // mbconv: of the width
};
/// 0, 1, 2 = Shuffle 3x3, 5x5, 7x7; 3 = Xception.
std::span<const Op> shufflenet_ops();
/// 0 ... 5 = kernel 3, 3, 5, 5, 7, 7 with expansion 3, 6, 3, 6, 3, 6; -1 = identity.
std::span<const Op> mobilenet_ops();
inline constexpr int kIdentity = -1;

/// One place of the chain. Widths and sizes (height = width) of what goes in and comes out.
struct Block {
    int index;
    int stage, place;  // blocks of a stage share their width; its first has place 0
    int in, out, stride, in_size, out_size;
    std::vector<int> ops;  // ids that may be chosen, in the order of the original's candidates
};

/// Channel scales: id i makes the inner width of a ShuffleNet block (i + 1) / 5 of half its output width, rounded down.
inline constexpr int kScales = 10;
inline constexpr int kUnscaled = 4;

struct Config {
    int classes = 1000;
    int input_size = 224;    // height and width, a multiple of 32
    int first_scale = 0;     // shufflenet-channels: ids first_scale ... last_scale may be chosen, as in the
    int last_scale = 7;      //   paper; its reimplementations go to 9
    int width_multiple = 1;  // shufflenet-channels: inner widths are rounded up to a multiple
    bool operator==(const Config&) const = default;
};

struct Space {
    std::string_view name;
    Family family;
    Rules rules;
    bool channels;  // channel scales are chosen too
    Config config;
    int stem;       // width behind the first convolution
    int stem_out;   // and into the first block: MobileNets have a fixed MBConv between
    int stem_size;  // height and width into the first block
    int last;       // width behind the last 1x1 convolution
    std::span<const Op> ops;
    std::vector<Block> blocks;

    /// Throws ErrorKind::usage for an id that is no operator's.
    const Op& op(int id) const;
    /// "backbone.layers.0.0": how MMRazor calls a block.
    std::string module_name(const Block& block) const;
};

inline constexpr std::array<std::string_view, 6> kSpaces = {"shufflenet", "shufflenet-channels", "shufflenet-mmrazor",
                                                            "mobilenet",  "mobilenet-mmrazor",   "mobilenet-fairnas"};
/// Throws ErrorKind::usage for an unknown name (with the nearest) or a config out of range.
Space space(std::string_view name, const Config& config = {});

/// An operator id per block and, where channels are searched, a scale id per block.
struct Architecture {
    std::vector<int> ops;
    std::vector<int> scales;  // empty: every block kUnscaled
    bool operator==(const Architecture&) const = default;
};
/// Throws ErrorKind::usage naming the block for what is not in the space.
void validate(const Space& space, const Architecture& arch);

/// Reads `(2, 1, 0, ...)` as people paste it: any brackets or none, commas or blanks between, ids or MMRazor's names,
/// `arch = ` before it, quotation marks around it; with channels a second such list of scale ids behind the first, all
/// kUnscaled where it is missing. Or the text of an MMRazor subnet file: `backbone.layers.0.0: {chosen: shuffle_7x7}`,
/// in flow or block style, as JSON, or in the older form `stage_1_block_0: chosen: [shuffle_7x7]`. Throws
/// ErrorKind::usage naming line, column and what was expected.
Architecture parse_architecture(const Space& space, std::string_view text);
/// `(2, 1, 0, ...)`; `((2, 1, ...), (4, 4, ...))` with scales. One text per architecture.
std::string to_string(const Architecture& arch);
/// An MMRazor 1.x subnet file. Throws ErrorKind::usage for an architecture with scales or not of the space.
std::string to_yaml(const Space& space, const Architecture& arch);

}  // namespace nascent::chain
