// One call of weighed_cell: what its forward keeps, and where that lies for each copy.
#pragma once
#include <algorithm>

#include "kernels/channel_sums.h"
#include "kernels/mixed.h"
#include "kernels/norm.h"
#include "ops/weighed_cell.h"

namespace nascent {

/// Inputs: x, weights, the convolutions' kernels in the order of the terms, copy by copy.
struct WeighedCell {
    static constexpr const char* name = "weighed_cell";
    bool operator==(const WeighedCell&) const = default;
    struct Term {  // of every copy
        EdgeOp op;
        int from, to, weight;
        int k;  // of a convolution's kernel
        bool has_kernel() const { return op == EdgeOp::conv || op == EdgeOp::constant; }
        bool bypass() const { return op == EdgeOp::bypass; }
        bool operator==(const Term&) const = default;
    };
    int nodes;  // the input and those after it
    std::vector<Term> terms;
    std::vector<CellNorm> norms;  // of the terms, copy by copy
    bool training;
    int copies;
    PartialChannels partial = {};

    Tensor forward(Inputs in, Saved& saved) const;
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const;
    Tensor reference(Inputs in) const;
    static std::vector<Case> cases();

    bool pooled(int node) const {
        return std::any_of(terms.begin(), terms.end(),
                           [&](const Term& t) { return t.from == node && t.op == EdgeOp::pool; });
    }
    /// Whether the channels that operators see are copied out of the node, to lie densely as convolutions read them.
    bool packs(int node) const {
        return partial.of > 1 && std::any_of(terms.begin(), terms.end(), [&](const Term& t) {
                   return t.from == node && !t.bypass() && t.op != EdgeOp::constant;
               });
    }
    /// Whether every channel of the nodes between is a sum, known on the host, of channels of the input and of the
    /// operators' sums (weighed_cell_mapped.h): they are not written then.
    bool mapped() const {
        return partial.of > 1 && nodes <= kMostMapped &&
               std::none_of(terms.begin(), terms.end(), [](const Term& t) { return t.bypass() && t.weight >= 0; });
    }
    /// The last node's channels have as many sources: the input and all sums.
    static constexpr int kMostMapped = kernels::kMostSummedStates;
    /// Whether a term's z is not stored, nor computed but in sums (kernels::MixedPoint): on the cpu, of a 1x1 whose few
    /// channels cost less than reading z would.
    bool unstored(const Tensor& x, const Term& t) const {
        return t.op == EdgeOp::conv && t.k == 1 && partial.of > 1 && channels(x) <= kMostUnstored && on_cpu();
    }
    bool unstored_of(const Tensor& x, int node) const {  // any that leaves a node
        return std::any_of(terms.begin(), terms.end(), [&](const Term& t) { return t.from == node && unstored(x, t); });
    }
    static constexpr int kMostUnstored = 16;
    static bool on_cpu();
    int channels(const Tensor& x) const { return static_cast<int>(x.shape[3]) / partial.of; }  // that operators see
    /// Pictures whose packed channels lie side by side (kernels/fold.h): by the shapes alone, 1 on a gpu.
    int fold(const Tensor& x) const;
    const CellNorm& norm(int copy, std::size_t term) const {
        return norms[static_cast<std::size_t>(copy) * terms.size() + term];
    }
};

namespace cell {

/// What the forward keeps, by its place in `saved`: the nodes behind the input (the last alone where they are mapped),
/// what is packed of nodes, pools, moments (kernels::NormedConv) of what convolutions read whose z are not stored, then
/// of each convolution z, scale and shift, mean and rstd; each of all copies.
template <class S>
struct WeighedKept {
    using T = kernels::Compute<S>;  // of vectors and weights
    struct Conv {
        std::size_t kernel;  // index into the inputs; a constant's too
        S* z;                // null where it is not stored
        T *scale, *shift;
        double *mean, *rstd;
    };
    int copies, seen, channels;           // channels that operators see, all
    int fold, width;                      // pictures side by side, what operators see of all of them
    std::size_t whole_image, image;       // elements of a copy's node, and of what operators see of it
    std::vector<S*> whole;                // nodes of the first copy, the others' behind it
    std::vector<S*> node, pool;           // what operators see of them, and its pool
    std::vector<double*> moments;         // of that, (seen + 1, seen) a copy; null: not needed
    std::vector<std::vector<Conv>> conv;  // by copy, by term; none where it is none

    WeighedKept(const WeighedCell& op, Inputs in, const Saved& saved)
        : copies(op.copies),
          seen(op.channels(in[0])),
          channels(static_cast<int>(in[0].shape[3])),
          fold(op.fold(in[0])),
          width(seen * fold),
          whole_image(in[0].size() / static_cast<std::size_t>(op.copies)),
          image(whole_image / static_cast<std::size_t>(op.partial.of)) {
        std::size_t next = 0, kernel = 2;
        for (int i = 0; i < op.nodes; i++) {
            const bool unwritten = op.mapped() && i > 0 && i + 1 < op.nodes;
            whole.push_back(i == 0 ? in[0].as<S>() : unwritten ? nullptr : saved[next++].as<S>());
        }
        for (int i = 0; i < op.nodes; i++)
            node.push_back(op.packs(i) ? saved[next++].as<S>() : whole[static_cast<std::size_t>(i)]);
        const auto c = static_cast<std::size_t>(width);
        for (int i = 0; i < op.nodes; i++) pool.push_back(op.pooled(i) ? saved[next++].as<S>() : nullptr);
        for (int i = 0; i < op.nodes; i++)
            moments.push_back(op.unstored_of(in[0], i) ? saved[next++].as<double>() : nullptr);
        for (std::size_t copy = 0; copy < static_cast<std::size_t>(copies); copy++) {
            std::vector<Conv>& all = conv.emplace_back();
            std::size_t at = next;
            for (const WeighedCell::Term& t : op.terms) {
                all.push_back({});
                if (t.op == EdgeOp::constant) all.back().kernel = kernel++;
                if (t.op != EdgeOp::conv) continue;
                S* const z = op.unstored(in[0], t) ? nullptr : saved[at++].as<S>() + copy * image;
                T* const affine = saved[at++].as<T>() + copy * 2 * c;
                double* const batch = saved[at++].as<double>() + copy * 2 * c;
                all.back() = {kernel++, z, affine, affine + c, batch, batch + c};
            }
        }
    }
    S* node_of(int copy, int i) const { return node[static_cast<std::size_t>(i)] + before(copy); }
    S* whole_of(int copy, int i) const {
        return whole[static_cast<std::size_t>(i)] + static_cast<std::size_t>(copy) * whole_image;
    }
    std::size_t before(int copy) const { return static_cast<std::size_t>(copy) * image; }
    double* moments_of(int copy, int i) const {
        double* const first = moments[static_cast<std::size_t>(i)];
        return first ? first + copy * (seen + 1) * seen : nullptr;
    }
    const Conv& conv_of(int copy, std::size_t term) const { return conv[static_cast<std::size_t>(copy)][term]; }
    /// A term whose z is not stored.
    kernels::MixedPoint<S> point(const WeighedCell& op, Inputs in, int copy, std::size_t i) const {
        const WeighedCell::Term& t = op.terms[i];
        const Conv& own = conv_of(copy, i);
        return {node_of(copy, t.from),   width, in[own.kernel].template as<T>(), own.scale, own.shift,
                in[1].as<T>() + t.weight};
    }
    /// Any other.
    kernels::MixedTerm<S> term(const WeighedCell& op, Inputs in, int copy, std::size_t i) const {
        const WeighedCell::Term& t = op.terms[i];
        const T* weight = t.weight < 0 ? nullptr : in[1].as<T>() + t.weight;
        const Conv& own = conv_of(copy, i);
        if (t.bypass()) return {whole_of(copy, t.from) + seen, channels, nullptr, nullptr, weight};
        if (t.op == EdgeOp::constant) {
            const T* const values = in[own.kernel].template as<T>();
            if constexpr (std::is_same_v<S, T>)
                return {values, 0, nullptr, nullptr, weight};
            else
                return {nullptr, 0, values, values, weight};  // 0 * values + values
        }
        if (t.op == EdgeOp::conv) return {own.z, width, own.scale, own.shift, weight};
        const S* from = (t.op == EdgeOp::pool ? pool : node)[static_cast<std::size_t>(t.from)] + before(copy);
        return {from, width, nullptr, nullptr, weight};
    }
};

}  // namespace cell
}  // namespace nascent
