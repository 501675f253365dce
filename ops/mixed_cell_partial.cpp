// Partial channels: what goes round the operators, and the shuffle of a node's two parts.
#include "kernels/partial.h"
#include "kernels/pool_plain.h"
#include "ops/mixed_cell_call.h"

namespace nascent::cell {
namespace {

kernels::PoolShape halving(int n, StateSize s, int channels) { return {{n, s.h, s.w, channels}, 2, 2, 0}; }

}  // namespace

template <class T>
void Cell<T>::build_bypass(int from) {
    for (const Bypass& b : bypasses_) {
        if (b.edge->from != from || b.edge->stride == 1 || halved(from)) continue;
        const StateSize s = size(from);
        NASCENT_CHECK(
            from < 2 && s.h % 2 == 0 && s.w % 2 == 0, runtime,
            "channels that go round operators of stride 2 are those of an input of even size; state {} is {} x {}",
            from, s.h, s.w);
        const StateSize half{s.h / 2, s.w / 2};
        halved_[static_cast<std::size_t>(from)] = {nodes_tensor(half, c_), taps(half, c_)};
    }
}

template <class T>
StateSize Cell<T>::bypass_size(int s) const {
    return halved(s) ? StateSize{size(s).h / 2, size(s).w / 2} : size(s);
}

template <class T>
void Cell<T>::halve(int s) const {
    if (!halved(s)) return;
    const Halved<T>& to = halved_[static_cast<std::size_t>(s)];
    kernels::max_pool_plain_forward<T>(kernel_stream(), halving(sizes_.n, size(s), c_), preprocessed_[s], to.z, to.tap);
}

template <class T>
kernels::MixedTerm<T> Cell<T>::bypass_term(const Bypass& b) const {
    const kernels::Source<T> from = state(b.edge->from);
    if (halved(b.edge->from))
        return {halved_[static_cast<std::size_t>(b.edge->from)].z + seen_, c_, nullptr, nullptr, weight(*b.op)};
    return {from.x + seen_, from.pixel, nullptr, nullptr, weight(*b.op)};
}

/// Without a shuffle the sums are the node.
template <class T>
void Cell<T>::add_partial_node(int node, Nodes<T>& seen, Nodes<T>& around) {
    if (op_.shape.shuffle)
        sum_ = {scratch(size(node), c_), c_};
    else
        sum_ = {y_ + static_cast<std::ptrdiff_t>(node - 2) * c_, pixel(node)};
    seen.add(sum_.y, sum_.pixel, terms(node));
    std::vector<kernels::MixedTerm<T>> others;
    for (const Bypass& b : bypasses_)
        if (b.edge->to == node) others.push_back(bypass_term(b));
    around.add(sum_.y + seen_, sum_.pixel, std::move(others));
}

template <class T>
void Cell<T>::shuffle_node(int node) const {
    if (!op_.shape.shuffle) return;
    kernels::channel_shuffle<T>(kernel_stream(), sizes_.pixels(size(node)), c_, op_.shape.partial, false, sum_.y,
                                sum_.pixel, y_ + static_cast<std::ptrdiff_t>(node - 2) * c_, pixel(node), false);
}

template <class T>
void Cell<T>::unshuffle_gradient(int node) {
    if (!op_.shape.shuffle) return;
    Gradient& mine = states_[static_cast<std::size_t>(node)];
    T* const g = scratch(size(node), c_);
    kernels::channel_shuffle<T>(kernel_stream(), sizes_.pixels(size(node)), c_, op_.shape.partial, true, mine.g,
                                mine.pixel, g, c_, false);
    mine = {g, c_};
}

template <class T>
void Cell<T>::add_bypass_weights(int node, NodesBackward<T>& to) const {
    if (!dweights_) return;
    const Gradient& mine = states_[static_cast<std::size_t>(node)];
    std::vector<kernels::MixedTermGradient<T>> terms;
    for (const Bypass& b : bypasses_)
        if (b.edge->to == node && b.op->weight >= 0)
            terms.push_back({bypass_term(b), nullptr, nullptr, {}, dweights_ + b.op->weight});
    if (!terms.empty()) to.add(mine.g + seen_, mine.pixel, std::move(terms));
}

/// The channels that go round: of the state, or of its half. The others of a half get zeros, which its backward adds.
template <class T>
void Cell<T>::add_bypass_gradient(int s, Nodes<T>& to) {
    Gradient& mine = states_[static_cast<std::size_t>(s)];
    mine = {scratch(size(s), c_), c_};
    T* g = mine.g;
    if (halved(s)) {
        const StateSize half = bypass_size(s);
        const Tensor t = empty({sizes_.n, half.h, half.w, c_}, dtype_of<T>());
        t.device->fill(t.data, 0, t.bytes());
        g = halved_gradient_[static_cast<std::size_t>(s)] = t.template as<T>();
    }
    std::vector<kernels::MixedTerm<T>> sum;
    if (s >= 2) sum.push_back({dy_ + static_cast<std::ptrdiff_t>(s - 2) * c_ + seen_, pixel(s)});
    for (const Bypass& b : bypasses_) {
        if (b.edge->from != s) continue;
        const Gradient& node = states_[static_cast<std::size_t>(b.edge->to)];
        sum.push_back({node.g + seen_, node.pixel, nullptr, nullptr, weight(*b.op)});
    }
    to.add(g + seen_, c_, std::move(sum));
}

/// All channels of a state from those of its half; what reaches the operators' comes on top.
template <class T>
void Cell<T>::double_gradient(int s) const {
    if (!halved(s)) return;
    const auto at = static_cast<std::size_t>(s);
    kernels::max_pool_plain_backward<T>(kernel_stream(), halving(sizes_.n, size(s), c_), halved_[at].tap,
                                        halved_gradient_[at], states_[at].g, false);
}

template class Cell<float>;
template class Cell<double>;

}  // namespace nascent::cell
