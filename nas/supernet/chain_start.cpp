#include "nas/supernet/chain_start.h"

#include <cmath>
#include <map>

#include "nas/supernet/initialise.h"

namespace nascent {
namespace {

using chain::Layer;
using chain::LayerKind;

Start start_of(const Layer& l, bool weight, ChainStart how) {
    if (l.kind == LayerKind::batch_norm) return {Start::constant, weight ? 1 : how == ChainStart::spos ? 1e-4 : 0.0};
    const double in = l.in / l.groups, out = l.out;
    if (l.kind == LayerKind::linear) {
        if (how == ChainStart::anglenas) return {Start::around_zero, 1 / std::sqrt(in)};
        return weight ? Start{Start::normal, 0.01} : Start{};
    }
    if (how != ChainStart::spos) return {Start::normal, std::sqrt(2 / (l.kernel * l.kernel * out))};
    const bool first = l.part == chain::Part::stem && l.in == 3;
    return {Start::normal, first ? 0.01 : 1 / in};
}

}  // namespace

ChainStart published_start(const chain::Space& s) {
    if (s.family == chain::Family::shufflenet) return ChainStart::spos;
    return s.rules == chain::Rules::mmrazor ? ChainStart::mmrazor : ChainStart::anglenas;
}

void initialise(ChainNet& net, std::uint64_t seed, ChainStart how) {
    if (how == ChainStart::torch) return initialise(net.store(), seed);
    std::map<std::string, Start> starts;
    for (const Layer& l : net.net().layers)
        for (bool weight : {true, false}) starts[l.name + (weight ? ".weight" : ".bias")] = start_of(l, weight, how);
    initialise(net.store(), seed, [&](const Parameter& p) { return starts.at(p.name); });
}

}  // namespace nascent
