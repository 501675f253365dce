// Partial channels: what goes round the operators, and the shuffle of a node's two parts.
#include "kernels/partial.h"
#include "ops/kernel_stream.h"
#include "ops/mixed_cell_call.h"

namespace nascent::cell {

template <class S>
void Cell<S>::build_bypass(int from) {
    for (const Bypass& b : bypasses_) {
        if (b.edge->from != from || b.edge->stride == 1 || halved(from)) continue;
        const StateSize s = size(from);
        NASCENT_CHECK(
            from < 2 && s.h % 2 == 0 && s.w % 2 == 0, runtime,
            "channels that go round operators of stride 2 are those of an input of even size; state {} is {} x {}",
            from, s.h, s.w);
        const StateSize half{s.h / 2, s.w / 2};
        halved_[static_cast<std::size_t>(from)] = {nodes_tensor(half, c_ - seen_), taps(half, c_ - seen_)};
    }
}

template <class S>
StateSize Cell<S>::bypass_size(int s) const {
    return halved(s) ? StateSize{size(s).h / 2, size(s).w / 2} : size(s);
}

template <class S>
void Cell<S>::halve(int s) const {
    if (!halved(s)) return;
    const Halved<S>& to = halved_[static_cast<std::size_t>(s)];
    kernels::halve_forward<S>(kernel_stream(), {sizes_.n, size(s).h, size(s).w, c_ - seen_}, preprocessed_[s] + seen_,
                              c_, to.z, to.tap);
}

/// What operators see of an input, where they see several pictures side by side.
template <class S>
void Cell<S>::fold_input(int s) const {
    if (folded())
        kernels::fold_channels<S>(kernel_stream(), folded_shape(s), preprocessed_[s], c_,
                                  folded_[static_cast<std::size_t>(s)]);
}

template <class S>
kernels::MixedTerm<S> Cell<S>::bypass_term(const Bypass& b) const {
    const int from = b.edge->from;
    if (halved(from)) return {halved_[static_cast<std::size_t>(from)].z, c_ - seen_, nullptr, nullptr, weight(*b.op)};
    return {unfolded(from) + seen_, pixel(from), nullptr, nullptr, weight(*b.op)};
}

/// Without a shuffle the sums are the node. Where pictures are folded, what goes round is summed as it is shuffled.
template <class S>
void Cell<S>::add_partial_node(int node, Nodes<S>& seen, Nodes<S>& around) {
    if (folded()) {
        sum_ = {scratch(size(node), seen_), width_};
        return seen.add(sum_.y, width_, terms(node));
    }
    if (op_.shape.shuffle)
        sum_ = {scratch(size(node), c_), c_};
    else
        sum_ = {y_ + static_cast<std::ptrdiff_t>(node - 2) * c_, pixel(node)};
    seen.add(sum_.y, sum_.pixel, terms(node));
    std::vector<kernels::MixedTerm<S>> others;
    for (const Bypass& b : bypasses_)
        if (b.edge->to == node) others.push_back(bypass_term(b));
    around.add(sum_.y + seen_, sum_.pixel, std::move(others));
}

template <class S>
void Cell<S>::shuffle(int node, bool inverse, const S* x, int x_pixel, S* to, int to_pixel) const {
    const std::size_t pixels = sizes_.pixels(size(node));
    if (order(node))
        kernels::channel_permute<S>(kernel_stream(), pixels, *order(node), inverse, x, x_pixel, to, to_pixel, false);
    else
        kernels::channel_shuffle<S>(kernel_stream(), pixels, c_, op_.shape.partial, inverse, x, x_pixel, to, to_pixel,
                                    false);
}

template <class S>
void Cell<S>::shuffle_node(int node) const {
    S* const y = y_ + static_cast<std::ptrdiff_t>(node - 2) * c_;
    if (!folded()) {
        if (op_.shape.shuffle) shuffle(node, false, sum_.y, sum_.pixel, y, pixel(node));
        return;
    }
    std::vector<kernels::Around<S>> around;
    for (const Bypass& b : bypasses_) {
        if (b.edge->to != node) continue;
        const kernels::MixedTerm<S> term = bypass_term(b);
        around.push_back({term.z, term.pixel, seen_, term.weight});
    }
    kernels::join_folded<S>(kernel_stream(), folded_shape(node), sum_.y, around, y, pixel(node),
                            folded_[static_cast<std::size_t>(node)]);
}

/// What reaches the channels of a state that go round, from the nodes behind it.
template <class S>
std::vector<kernels::Around<S>> Cell<S>::around_gradients(int s) const {
    std::vector<kernels::Around<S>> all;
    for (const Bypass& b : bypasses_) {
        if (b.edge->from != s) continue;
        const Gradient& node = around_[static_cast<std::size_t>(b.edge->to)];
        all.push_back({node.g, node.pixel, seen_, weight(*b.op)});
    }
    return all;
}

template <class S>
void Cell<S>::unshuffle_gradient(int node) {
    const auto at = static_cast<std::size_t>(node);
    Gradient& mine = states_[at];
    if (folded()) {
        // What reached the node through later ones: folded, and what went round; the last node has nothing but dy.
        const S* const dy = dy_ + static_cast<std::ptrdiff_t>(node - 2) * c_;
        S *const g = scratch(size(node), c_), *const seen = scratch(size(node), seen_);
        kernels::part_folded<S>(kernel_stream(), folded_shape(node), dy, pixel(node), folded_gradient_[at],
                                around_gradients(node), g, c_, seen);
        mine = {seen, width_};
        around_[at] = {g + seen_, c_};
        return;
    }
    if (op_.shape.shuffle) {
        S* const g = scratch(size(node), c_);
        shuffle(node, true, mine.g, mine.pixel, g, c_);
        mine = {g, c_};
    }
    around_[at] = {mine.g + seen_, mine.pixel};
}

/// All channels of an input's gradient lie together; a node's are put together where it is parted.
template <class S>
void Cell<S>::unfold_gradient(int s) {
    if (!folded() || s >= 2) return;
    const auto at = static_cast<std::size_t>(s);
    kernels::FoldedShape shape = folded_shape(s);
    if (halved(s)) return kernels::unfold_channels<S>(kernel_stream(), shape, folded_gradient_[at], states_[at].g, c_);
    shape.groups = 1;
    kernels::join_folded<S>(kernel_stream(), shape, folded_gradient_[at], around_gradients(s), states_[at].g, c_,
                            nullptr);
}

template <class S>
void Cell<S>::add_bypass_weights(int node, NodesBackward<S>& to) const {
    if (!dweights_) return;
    const Gradient& mine = around_[static_cast<std::size_t>(node)];
    std::vector<kernels::MixedTermGradient<S>> terms;
    for (const Bypass& b : bypasses_)
        if (b.edge->to == node && b.op->weight >= 0)
            terms.push_back({bypass_term(b), nullptr, nullptr, {}, dweights_ + b.op->weight});
    if (!terms.empty()) to.add(mine.g, mine.pixel, std::move(terms));
}

/// The channels that go round: of the state, or of its half. Where pictures are folded, others are summed as a node's
/// gradient is parted, or an input's unfolded.
template <class S>
void Cell<S>::add_bypass_gradient(int s, Nodes<S>& to) {
    Gradient& mine = states_[static_cast<std::size_t>(s)];
    if (folded() && s >= 2) return;
    mine = {scratch(size(s), c_), c_};
    if (folded() && !halved(s)) return;
    Gradient to_state{mine.g + seen_, c_};
    if (halved(s)) {
        to_state = {scratch(bypass_size(s), c_ - seen_), c_ - seen_};
        halved_gradient_[static_cast<std::size_t>(s)] = to_state.g;
    }
    std::vector<kernels::MixedTerm<S>> sum;
    if (s >= 2) sum.push_back({dy_ + static_cast<std::ptrdiff_t>(s - 2) * c_ + seen_, pixel(s)});
    for (const Bypass& b : bypasses_) {
        if (b.edge->from != s) continue;
        const Gradient& node = around_[static_cast<std::size_t>(b.edge->to)];
        sum.push_back({node.g, node.pixel, nullptr, nullptr, weight(*b.op)});
    }
    to.add(to_state.g, to_state.pixel, std::move(sum));
}

/// From a state's half to the channels of the state that go round.
template <class S>
void Cell<S>::double_gradient(int s) const {
    if (!halved(s)) return;
    const auto at = static_cast<std::size_t>(s);
    kernels::halve_backward<S>(kernel_stream(), {sizes_.n, size(s).h, size(s).w, c_ - seen_}, halved_[at].tap,
                               halved_gradient_[at], states_[at].g + seen_, c_);
}

template class Cell<float>;
template class Cell<double>;
template class Cell<kernels::BFloat16>;

}  // namespace nascent::cell
