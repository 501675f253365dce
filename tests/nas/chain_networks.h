// Small pictures, steps and paths for tests of networks of chains.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/base/rng.h"
#include "nas/algo/loss.h"
#include "nas/supernet/chain.h"
#include "nas/supernet/chain_start.h"
#include "ops/constants.h"
#include "ops/reference.h"

namespace nascent::testing {

inline Tensor chain_pictures(int n, int size, DType dtype, std::uint32_t first = 0) {
    std::vector<double> pixels(static_cast<std::size_t>(n * size * size * 3));
    for (std::uint32_t i = 0; i < pixels.size(); i++)
        pixels[i] = 2 * Random(1, RandomStream::test, 9, first + i).uniform(0) - 1;
    return constants({n, size, size, 3}, dtype, pixels);
}

inline Tensor chain_labels(int n, int classes) {
    const Tensor y = empty({n}, DType::i32);
    std::vector<std::int32_t> host;
    for (int i = 0; i < n; i++) host.push_back((3 * i + 1) % classes);
    y.device->copy_in(y.data, host.data(), y.bytes());
    return y;
}

/// A path of a space, with scales where it has them.
inline chain::Architecture random_path(const chain::Space& s, std::uint32_t number) {
    chain::Architecture a;
    for (const chain::Block& b : s.blocks) {
        const Random r(5, RandomStream::test, number, static_cast<std::uint32_t>(b.index));
        a.ops.push_back(b.ops[static_cast<std::size_t>(r.uniform(0) * static_cast<double>(b.ops.size()))]);
        const int scales = s.config.last_scale - s.config.first_scale + 1;
        if (s.channels) a.scales.push_back(s.config.first_scale + static_cast<int>(r.uniform(1) * scales));
    }
    return a;
}

/// Starting values that leave no weight and shift alike; gammas in [0.8, 1.2].
inline void fill_chain(ChainNet& net, std::uint64_t seed) {
    initialise(net, seed, ChainStart::torch);
    for (const Parameter& p : net.store().parameters()) {
        if (p.shape.rank() != 1) continue;
        std::vector<double> values = net.get(p.name);
        for (std::uint32_t i = 0; i < values.size(); i++)
            values[i] = (p.name.ends_with(".weight") ? 1 : 0) +
                        0.2 * (2 * Random(seed, RandomStream::test, 3, i).uniform(0) - 1);
        net.set(p.name, values);
    }
}

struct ChainStep {
    double loss = 0;
    std::vector<double> logits;
    std::map<std::string, std::vector<double>> gradients;  // in PyTorch's order
};

inline ChainStep chain_step(ChainNet& net, const chain::Architecture& path, const ChainPass& pass, const Tensor& x,
                            Tape::Gradients gradients = Tape::Gradients::reused) {
    Tape tape(current_arena(), &net.store(), gradients);
    TapeScope recording(&tape);
    const Tensor logits = net.forward(x, path, pass);
    const Tensor loss = cross_entropy(logits, chain_labels(static_cast<int>(x.shape[0]), net.space().config.classes));
    backward_from(tape, loss);
    ChainStep r;
    r.logits = numbers_of(logits);
    r.loss = read_scalar(loss);
    for (const WrittenRange& w : tape.written()) {
        const ParameterRange& range = net.store().range(w.range);
        std::vector<std::byte> host(range.count * size_of(net.store().dtype()));
        net.store().device().copy_out(host.data(), w.grad, host.size());
        for (int p = range.first; p < range.first + range.parameters; p++) {
            const Parameter& of = net.store().parameters()[static_cast<std::size_t>(p)];
            r.gradients[of.name] = net.torch_order(p, host.data() + of.offset * size_of(net.store().dtype()));
        }
    }
    return r;
}

inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    double most = a.size() == b.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); i++) {
        const double d = std::fabs(a[i] - b[i]);
        if (!(d <= most)) most = d;
    }
    return most;
}
inline double largest_of(const std::vector<double>& v) { return largest_difference(v, std::vector<double>(v.size())); }

/// 32x32 pictures in ten classes.
inline chain::Space small_space(const char* name, int first_scale = 0, int last_scale = 7) {
    chain::Config c;
    c.classes = 10;
    c.input_size = 32;
    c.first_scale = first_scale;
    c.last_scale = last_scale;
    return chain::space(name, c);
}

/// By name of a subnet's tensor, its name in the supernet: the same place among the layers of the same piece.
inline std::map<std::string, std::string> names_in_supernet(const chain::Net& supernet, const chain::Net& subnet) {
    auto places = [](const chain::Net& net) {
        std::map<std::tuple<chain::Part, int, int>, std::vector<std::string>> of;
        for (const chain::StateEntry& e : chain::state_entries(net.layers)) {
            const chain::Layer& l = net.layers[static_cast<std::size_t>(e.layer)];
            of[{l.part, l.block, l.op}].push_back(e.name);
        }
        return of;
    };
    const auto all = places(supernet);
    std::map<std::string, std::string> names;
    for (const auto& [piece, mine] : places(subnet))
        for (std::size_t i = 0; i < mine.size(); i++) names[mine[i]] = all.at(piece).at(i);
    return names;
}

}  // namespace nascent::testing
