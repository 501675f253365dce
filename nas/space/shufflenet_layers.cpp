// Blocks of ShuffleNetV2 as SPOS and MMRazor build them.
#include "engine/base/error.h"
#include "nas/space/chain_layers.h"

namespace nascent::chain {
namespace {

/// Module names of the two code bases; what is called 0, 1, 2 in one is counted with BN and ReLU in the other.
struct Names {
    bool mmrazor;
    std::string main, projection;

    Names(const Space& s, const std::string& block)
        : mmrazor(s.rules == Rules::mmrazor),
          main(block + (mmrazor ? ".branch2" : ".branch_main")),
          projection(block + (mmrazor ? ".branch1" : ".branch_proj")) {}
};

/// Convolution, BN and, if wanted, ReLU: modules `next`, `next` + 1 ... of a branch, or conv, bn, activate of one
/// module.
struct Branching {
    LayerWriter& to;
    const Names& names;
    const std::string& branch;
    int next = 0, unit = 0;

    Flow conv(Flow x, int out, int kernel, int stride, int groups, bool relu, const std::string& module) {
        const std::string at = fmt::format("{}.{}", branch, module);
        auto name = [&](const char* part) {
            return names.mmrazor ? fmt::format("{}.{}", at, part) : fmt::format("{}.{}", branch, next++);
        };
        x = to.conv(name("conv"), x, out, kernel, stride, groups);
        x = to.norm(name("bn"), x);
        return relu ? to.same(LayerKind::relu, name("activate"), x) : x;
    }
    Flow pointwise(Flow x, int out) { return conv(x, out, 1, 1, 1, true, std::to_string(unit++)); }
    Flow depthwise(Flow x, int kernel, int stride) {
        return conv(x, x.channels, kernel, stride, x.channels, false, std::to_string(unit++));
    }
    /// A depthwise and a pointwise convolution that count as one unit in MMRazor.
    Flow separable(Flow x, int out, int stride) {
        x = conv(x, x.channels, 3, stride, x.channels, false, fmt::format("{}.depthwise_conv", unit));
        return conv(x, out, 1, 1, 1, true, fmt::format("{}.pointwise_conv", unit++));
    }
};

}  // namespace

ShuffleShape shuffle_shape(const Space& s, const Block& b, int scale) {
    NASCENT_CHECK(s.family == Family::shufflenet, usage, "the space {} has no ShuffleNet blocks", s.name);
    ShuffleShape shape{.passed = b.in / 2, .branch_in = b.in / 2, .mid = b.out / 2, .branch_out = b.out - b.in / 2};
    if (b.stride == 2) {
        shape.branch_in = b.in;
        shape.passed = s.rules == Rules::mmrazor ? b.out / 2 : b.in;
        shape.branch_out = b.out - shape.passed;
    }
    if (s.channels) {
        const int multiple = s.config.width_multiple, scaled = shape.mid * (scale + 1) / 5;
        shape.mid = (scaled + multiple - 1) / multiple * multiple;
    }
    return shape;
}

void write_shuffle_block(LayerWriter& to, const Space& s, const Block& b, const Op& op, int scale,
                         const std::string& name) {
    const ShuffleShape shape = shuffle_shape(s, b, scale);
    const Names names(s, name);
    const Flow in{b.in, b.in_size};
    Flow x = in;
    if (b.stride == 1)
        x = to.move(names.mmrazor ? LayerKind::half_split : LayerKind::parity_split, name + ".split", in, b.in / 2);
    auto main = [&] {
        to.at(Branch::main);
        Branching branch{to, names, names.main};
        if (op.kind == OpKind::shuffle) {
            x = branch.pointwise(x, shape.mid);
            x = branch.depthwise(x, op.kernel, b.stride);
            x = branch.pointwise(x, shape.branch_out);
        } else {
            x = branch.separable(x, shape.mid, b.stride);
            x = branch.separable(x, shape.mid, 1);
            x = branch.separable(x, shape.branch_out, 1);
        }
    };
    auto projection = [&] {
        to.at(Branch::projection);
        Branching branch{to, names, names.projection};
        branch.pointwise(branch.depthwise(in, op.kernel, b.stride), shape.passed);
    };
    if (names.mmrazor && b.stride == 2) projection();
    main();
    if (!names.mmrazor && b.stride == 2) projection();
    to.at(Branch::trunk);
    x = to.move(LayerKind::concat, name + ".concat", x, b.out);
    if (names.mmrazor) to.same(LayerKind::shuffle, name + ".shuffle", x);
}

}  // namespace nascent::chain
