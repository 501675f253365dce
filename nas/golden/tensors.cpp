#include "nas/golden/tensors.h"

#include <cmath>

#include "nas/golden/numbers.h"

namespace nascent::golden {

int number(const std::string& text) {
    NASCENT_CHECK(text.size() <= 6, data, "{} is too large", text);
    return std::stoi(text);
}

Tensor to_device(const std::vector<double>& nchw, int n, int c, int h, int w) {
    Tensor t = empty({n, h, w, c}, DType::f64);
    std::vector<double> nhwc(nchw.size());
    std::size_t i = 0;
    for (int in = 0; in < n; in++)
        for (int ic = 0; ic < c; ic++)
            for (int p = 0; p < h * w; p++) nhwc[(static_cast<std::size_t>(in) * h * w + p) * c + ic] = nchw[i++];
    t.device->copy_in(t.data, nhwc.data(), t.bytes());
    return t;
}
std::vector<double> from_device(const Tensor& t) {
    std::vector<double> host(t.size());
    t.device->copy_out(host.data(), t.data, t.bytes());
    if (t.shape.rank() != 4) return host;
    const auto n = static_cast<std::size_t>(t.shape[0]), c = static_cast<std::size_t>(t.shape[3]),
               pixels = static_cast<std::size_t>(t.shape[1] * t.shape[2]);
    std::vector<double> nchw(host.size());
    for (std::size_t in = 0; in < n; in++)
        for (std::size_t p = 0; p < pixels; p++)
            for (std::size_t ic = 0; ic < c; ic++) nchw[(in * c + ic) * pixels + p] = host[(in * pixels + p) * c + ic];
    return nchw;
}

void fill_net(DartsNet& net) {
    std::size_t index = 0;
    for (const darts::StateEntry& e : darts::state_entries(net.net()))
        if (!e.int64) net.set(e.name, fill(e.name, e.shape, index++));
    // sin of the element's number, row by row.
    for (bool reduction : {false, true}) {
        if (net.alphas(reduction) < 0) continue;
        std::vector<double> a(net.store().parameters()[static_cast<std::size_t>(net.alphas(reduction))].shape.size());
        for (std::size_t e = 0; e < a.size(); e++)
            a[e] = 0.3 * std::sin((reduction ? 2.3 : 1.7) * static_cast<double>(e) + (reduction ? 1 : 0));
        net.set(reduction ? "alphas_reduce" : "alphas_normal", a);
    }
}

Tensor labels_of(int n, int classes, int shift) {
    Tensor t = empty({n}, DType::i32);
    std::vector<std::int32_t> host;
    for (int i = 0; i < n; i++) host.push_back((3 * i + 1 + shift) % classes);
    t.device->copy_in(t.data, host.data(), t.bytes());
    return t;
}

double scalar(const Tensor& t) { return from_device(t).at(0); }

Tensor constant(double value) {
    Tensor t = empty({1}, DType::f64);
    t.device->copy_in(t.data, &value, sizeof(value));
    return t;
}

double weight_norm(const DartsNet& net, const Tape& tape) {
    double squares = 0;
    for (const Parameter& p : net.store().parameters()) {
        if (p.name.starts_with("alphas") || p.name.starts_with("betas")) continue;
        Tensor like{p.shape, DType::f64, nullptr, nullptr, ValueId::parameter(net.store().find(p.name))};
        if (const Tensor g = tape.gradient(like); g.defined())
            for (double v : from_device(
                     g.shape.rank() == 4 ? Tensor{{static_cast<std::int64_t>(g.size())}, g.dtype, g.device, g.data, {}}
                                         : g))
                squares += v * v;
    }
    return std::sqrt(squares);
}

Tensor gradient(const DartsNet& net, const Tape& tape, const std::string& name) {
    const int p = net.store().find(name);
    NASCENT_CHECK(p >= 0, data, "the network has no parameter '{}'", name);
    const Tensor g = tape.gradient({net.store().parameters()[static_cast<std::size_t>(p)].shape, DType::f64, nullptr,
                                    nullptr, ValueId::parameter(p)});
    NASCENT_CHECK(g.defined(), data, "'{}' has no gradient", name);
    return g;
}

}  // namespace nascent::golden
