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
    bool bypassed(int node) const {
        return std::any_of(terms.begin(), terms.end(), [&](const Term& t) { return t.to == node && t.bypass(); });
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
    int channels(const Tensor& x) const { return static_cast<int>(x.shape[3]) / partial.of; }  // that operators see
    /// Pictures whose packed channels lie side by side (kernels/fold.h): by the shapes alone, 1 on a gpu.
    int fold(const Tensor& x) const;
    const CellNorm& norm(int copy, std::size_t term) const {
        return norms[static_cast<std::size_t>(copy) * terms.size() + term];
    }
};

namespace cell {

/// What the forward keeps, by its place in `saved`: the nodes behind the input (the last alone where they are mapped),
/// what is packed of nodes, pools, then of each convolution z, scale and shift, mean and rstd; each of all copies.
template <class S>
struct WeighedKept {
    using T = kernels::Compute<S>;  // of vectors and weights
    struct Conv {
        std::size_t kernel;  // index into the inputs; a constant's too
        S* z;
        T *scale, *shift;
        double *mean, *rstd;
    };
    int copies, seen, channels;           // channels that operators see, all
    int fold, width;                      // pictures side by side, what operators see of all of them
    std::size_t whole_image, image;       // elements of a copy's node, and of what operators see of it
    std::vector<S*> whole;                // nodes of the first copy, the others' behind it
    std::vector<S*> node, pool;           // what operators see of them, and its pool
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
        for (std::size_t copy = 0; copy < static_cast<std::size_t>(copies); copy++) {
            std::vector<Conv>& all = conv.emplace_back();
            std::size_t at = next;
            for (const WeighedCell::Term& t : op.terms) {
                all.push_back({});
                if (t.op == EdgeOp::constant) all.back().kernel = kernel++;
                if (t.op != EdgeOp::conv) continue;
                T* const affine = saved[at + 1].as<T>() + copy * 2 * c;
                double* const moments = saved[at + 2].as<double>() + copy * 2 * c;
                all.back() = {kernel++, saved[at].as<S>() + copy * image, affine, affine + c, moments, moments + c};
                at += 3;
            }
        }
    }
    S* node_of(int copy, int i) const { return node[static_cast<std::size_t>(i)] + before(copy); }
    S* whole_of(int copy, int i) const {
        return whole[static_cast<std::size_t>(i)] + static_cast<std::size_t>(copy) * whole_image;
    }
    std::size_t before(int copy) const { return static_cast<std::size_t>(copy) * image; }
    const Conv& conv_of(int copy, std::size_t term) const { return conv[static_cast<std::size_t>(copy)][term]; }
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
