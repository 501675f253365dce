// Blocks of the MobileNet space as AngleNAS, RLNAS and MMRazor build them.
#include <fmt/format.h>

#include "nas/space/chain_layers.h"

namespace nascent::chain {

bool has_residual(const Block& b) { return b.stride == 1 && b.in == b.out; }

void write_mobile_block(LayerWriter& to, const Space& s, const Block& b, const Op& op, const std::string& name) {
    const bool mmrazor = s.rules == Rules::mmrazor;
    const Flow in{b.in, b.in_size};
    if (op.kind == OpKind::identity) {
        if (has_residual(b)) return;
        to.at(Branch::main);
        to.norm(name + ".downsample.bn", to.conv(name + ".downsample.conv", in, b.out, 1, b.stride));
        return;
    }
    int next = 0;
    auto unit = [&](const char* module, Flow x, int out, int kernel, int stride, int groups, bool act) {
        auto at = [&](const char* part) {
            return mmrazor ? fmt::format("{}.{}.{}", name, module, part) : fmt::format("{}.conv.{}", name, next++);
        };
        x = to.conv(at("conv"), x, out, kernel, stride, groups);
        x = to.norm(at("bn"), x);
        return act ? to.same(LayerKind::relu6, at("activate"), x) : x;
    };
    const int wide = b.in * op.expansion;
    to.at(Branch::main);
    Flow x = in;
    if (op.expansion > 1) x = unit("expand_conv", x, wide, 1, 1, 1, true);
    x = unit("depthwise_conv", x, wide, op.kernel, b.stride, wide, true);
    x = unit("linear_conv", x, b.out, 1, 1, 1, false);
    to.at(Branch::trunk);
    if (has_residual(b)) to.same(LayerKind::add, name + ".add", x);
}

}  // namespace nascent::chain
