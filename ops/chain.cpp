#include "ops/chain.h"

namespace nascent {
namespace {

/// A gradient between two links, (pixels, channels) in `memory`.
template <class T>
kernels::Channels<T> dense(T* memory, int channels) {
    return {memory, channels, 1};
}
template <class T>
kernels::Channels<const T> read(const ChannelView& v) {
    if (!v.x.defined()) return {};
    const kernels::Channels<T> c = v.as<T>();
    return {c.x, c.pixel, c.step};
}

}  // namespace

Chain::Chain(const ChannelView& x, std::span<const ChainLink> links, Inputs weights)
    : x_(x), links_(links), weights_(weights) {
    check(weights);
}

void Chain::allocate() {
    for (const kernels::LinkShape& s : shapes_) {
        z_.push_back(empty({s.n, s.out_h(), s.out_w(), s.c_out}, x_.x.dtype));
        norms_.push_back(NormState::make(s.c_out, x_.x.dtype));
    }
}

Chain::Chain(const ChannelView& x, std::span<const ChainLink> links, Inputs weights, const Saved& saved, std::size_t at)
    : x_(x), links_(links), weights_(weights) {
    check(weights);
    for (std::size_t i = 0; i < links.size(); i++, at += 5) {
        z_.push_back(saved[at]);
        norms_.push_back({saved[at + 1], saved[at + 2], saved[at + 3], saved[at + 4]});
    }
}

void Chain::save(Saved& saved) const {
    for (std::size_t i = 0; i < z_.size(); i++)
        saved.insert(saved.end(), {z_[i], norms_[i].scale, norms_[i].shift, norms_[i].mean, norms_[i].rstd});
}

void Chain::check(Inputs weights) {
    const kernels::Image image = image_of(x_.x);
    kernels::LinkShape s{image.n, image.h, image.w, x_.channels, x_.channels};
    for (std::size_t i = 0; i < links_.size(); i++) {
        const Tensor& w = weights[3 * i];
        NASCENT_CHECK(w.dtype == x_.x.dtype, runtime, "weights {} are {}, x is {}", i, name_of(w.dtype),
                      name_of(x_.x.dtype));
        s.depthwise = w.shape.rank() == 3;
        s.k = static_cast<int>(w.shape[0]);
        s.stride = links_[i].stride;
        NASCENT_CHECK(s.stride == 1 || (s.stride == 2 && s.depthwise), runtime,
                      "weights {}: stride {}, expected 1, or 2 of a depthwise convolution", i, s.stride);
        if (s.depthwise) {
            NASCENT_CHECK((s.k == 3 || s.k == 5 || s.k == 7) && w.shape == Shape({s.k, s.k, s.c_in}), runtime,
                          "weights {}: expected (k, k, {}) with k 3, 5 or 7, got {}", i, s.c_in, w.shape.text());
            s.c_out = s.c_in;
        } else {
            NASCENT_CHECK(w.shape.rank() == 4 && w.shape == Shape({1, 1, s.c_in, w.shape[3]}), runtime,
                          "weights {}: expected (1, 1, {}, c_out), got {}", i, s.c_in, w.shape.text());
            s.c_out = static_cast<int>(w.shape[3]);
        }
        shapes_.push_back(s);
        s = {s.n, s.out_h(), s.out_w(), s.c_out, s.c_out};
    }
}

Shape Chain::output_shape() const {
    const kernels::LinkShape& s = shapes_.back();
    return {s.n, s.out_h(), s.out_w(), s.c_out};
}

template <class T>
kernels::Normed<T> Chain::normed(std::size_t link) const {
    if (link == 0) return {read<T>(x_)};
    const NormState& norm = norms_[link - 1];
    return {{z_[link - 1].as<T>(), shapes_[link - 1].c_out, 1},
            norm.scale.as<T>(),
            norm.shift.as<T>(),
            links_[link - 1].activation};
}

template <class T>
void Chain::run_forward() const {
    const kernels::Stream stream = kernel_stream();
    for (std::size_t i = 0; i < links_.size(); i++) {
        ScratchScope scratch(current_arena());
        const kernels::LinkShape& s = shapes_[i];
        double* sums = links_[i].norm.training ? doubles(2 * static_cast<std::size_t>(s.c_out)) : nullptr;
        kernels::link_forward<T>(stream, s, normed<T>(i), weights_[3 * i].as<T>(), z_[i].as<T>(), sums,
                                 workspace(kernels::link_forward_workspace(stream, s, sizeof(T))));
        NormState norm = norms_[i];
        norm.finish(links_[i].norm, s.out_pixels(), sums, weights_[3 * i + 1], weights_[3 * i + 2]);
    }
}

void Chain::forward() const {
    with_type(x_.x.dtype, [&](auto zero) { run_forward<decltype(zero)>(); });
}

template <class T>
void Chain::run_backward(const ChannelView& dy, std::span<Into> into, const ChainTarget& target) const {
    std::size_t lowest = 0;  // the first link that must be passed
    if (!target.da.x.defined())
        while (lowest < links_.size() && !into[3 * lowest] && !into[3 * lowest + 1] && !into[3 * lowest + 2]) lowest++;
    if (lowest == links_.size()) return;
    ScratchScope scratch(current_arena());
    const kernels::Stream stream = kernel_stream();
    // Gradients between links take turns in two places.
    std::size_t between[2] = {};
    for (std::size_t i = links_.size() - 1; i > lowest; i--)
        between[i % 2] = std::max(between[i % 2], shapes_[i].in_pixels() * static_cast<std::size_t>(shapes_[i].c_in));
    T* places[2] = {};
    for (int i = 0; i < 2; i++)
        if (between[i]) places[i] = static_cast<T*>(workspace(between[i] * sizeof(T)));

    const std::size_t last = links_.size() - 1;
    const kernels::Normed<T> output = normed<T>(last + 1);
    kernels::NormedGradient<T> g{read<T>(dy), z_[last].as<T>(), output.scale, output.shift, output.activation};
    double* sums = doubles(2 * static_cast<std::size_t>(channels()));
    {
        ScratchScope inner(current_arena());
        kernels::link_sums<T>(stream, shapes_[last].out_pixels(), channels(), g, sums,
                              workspace(kernels::link_sums_workspace(stream, shapes_[last].out_pixels(), channels())));
    }
    for (std::size_t i = last + 1; i-- > lowest;) {
        const kernels::LinkShape& s = shapes_[i];
        const NormGradient fold = NormGradient::make(links_[i].norm, norms_[i], s.out_pixels(), sums, sums + s.c_out,
                                                     weights_[3 * i + 1], into[3 * i + 1], into[3 * i + 2]);
        kernels::LinkTarget<T> to;
        if (i > lowest) {
            to.da = dense(places[i % 2], s.c_in);
            to.sums = sums = doubles(2 * static_cast<std::size_t>(s.c_in));
        } else if (i == 0 && target.da.x.defined()) {
            to.da = target.da.as<T>();
            to.accumulate = target.accumulate;
            to.skip = read<T>(target.skip);
            if (target.round_da.x.defined()) to.round_da = target.round_da.as<T>();
            to.round_g = read<T>(target.round_g);
        }
        ScratchScope inner(current_arena());
        kernels::link_backward<T>(stream, s, normed<T>(i), weights_[3 * i].as<T>(), g,
                                  {nullptr, fold.scale.as<T>(), fold.slope.as<T>(), fold.shift.as<T>()}, to,
                                  into[3 * i].as<T>(), into[3 * i].accumulate(),
                                  workspace(kernels::link_backward_workspace(stream, s, sizeof(T))));
        if (i > lowest) g = {{to.da.x, s.c_in, 1}, z_[i - 1].as<T>()};
    }
}

void Chain::backward(const ChannelView& dy, std::span<Into> into, const ChainTarget& target) const {
    with_type(x_.x.dtype, [&](auto zero) { run_backward<decltype(zero)>(dy, into, target); });
}

template kernels::Normed<float> Chain::normed(std::size_t) const;
template kernels::Normed<double> Chain::normed(std::size_t) const;

void append_inputs(std::vector<Tensor>& to, std::span<const NormedConv> convs) {
    for (const NormedConv& c : convs) to.insert(to.end(), {c.w, c.gamma, c.beta});
}

}  // namespace nascent
