#include "nas/supernet/initialise.h"

#include <cmath>
#include <numbers>

#include "engine/base/rng.h"

namespace nascent {

double Start::draw(const Random& r) const {
    switch (kind) {
        case around_zero:
            return scale * (2 * r.uniform(0) - 1);
        case positive:
            return scale * r.uniform(0);
        case normal:
            return scale * std::sqrt(-2 * std::log(1 - r.uniform(0))) * std::cos(2 * std::numbers::pi * r.uniform(1));
        case constant:
            break;
    }
    return scale;
}

namespace {

std::int64_t fan_in(const Shape& s) {  // (k, k, in, out), (k, k, channels), (out, in)
    return s.rank() == 4 ? s[0] * s[1] * s[2] : s.rank() == 3 ? s[0] * s[1] : s[1];
}

Start start_of(const ParameterStore& store, const Parameter& p, GammaStart gamma) {
    if (p.name.starts_with("alphas") || p.name.starts_with("betas") || p.name.starts_with("arch_parameters"))
        return {Start::normal, 1e-3};
    const Shape* weights = p.shape.rank() > 1 ? &p.shape : nullptr;
    if (constexpr std::string_view bias = ".bias"; !weights && p.name.ends_with(bias)) {
        const int sibling = store.find(p.name.substr(0, p.name.size() - bias.size()) + ".weight");
        if (sibling >= 0 && store.parameters()[static_cast<std::size_t>(sibling)].shape.rank() > 1)
            weights = &store.parameters()[static_cast<std::size_t>(sibling)].shape;
        else
            return {};
    }
    if (!weights) return {gamma == GammaStart::ones ? Start::constant : Start::positive, 1};
    return {Start::around_zero, 1 / std::sqrt(static_cast<double>(fan_in(*weights)))};
}

}  // namespace

void initialise(ParameterStore& store, std::uint64_t seed, GammaStart gamma) {
    initialise(store, seed, [&](const Parameter& p) { return start_of(store, p, gamma); });
}

void initialise(ParameterStore& store, std::uint64_t seed, const std::function<Start(const Parameter&)>& start_of) {
    for (std::size_t i = 0; i < store.parameters().size(); i++) {
        const Tensor t = store.raw(static_cast<int>(i));
        const Start start = start_of(store.parameters()[i]);
        with_type(t.dtype, [&](auto zero) {
            using T = decltype(zero);
            std::vector<T> host(t.size(), static_cast<T>(start.scale));
            for (std::size_t k = 0; start.kind != Start::constant && k < host.size(); k++)
                host[k] =
                    static_cast<T>(start.draw(Random(seed, RandomStream::init, i, static_cast<std::uint32_t>(k))));
            store.device().copy_in(t.data, host.data(), t.bytes());
        });
    }
}

}  // namespace nascent
