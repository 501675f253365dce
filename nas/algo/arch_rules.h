// The algorithms of a search by gradients, as rules of what alphas are to mixed ops (nas/supernet/search_net.h). All
// that is drawn is a function of (seed, pass, number, matrix, element), so neither threads nor a resume move it.
#pragma once
#include <memory>

#include "nas/supernet/search_net.h"

namespace nascent {

enum class Algo {
    darts,  // softmax (Liu et al., ICLR 2019): no rule
    drnas,  // Dirichlet samples (Chen et al., ICLR 2021)
    gdas,   // the one operator that the Gumbel-max trick draws (Dong and Yang, CVPR 2019)
    snas,   // concrete relaxation (Xie et al., ICLR 2019)
    rsps,   // random search with shared weights (Li and Talwalkar, UAI 2019): no alphas move
};

/// The temperature of Gumbel-softmax, from `first` to `last` by epoch.
struct Temperature {
    double first = 10, last = 0.1;
    /// What epoch e of n has gone of the way: e / (n - 1) (GDAS), e / n (DrNAS's runs of other methods), (e + 1) / n
    /// (SNAS).
    enum class Way { to_end, after, before } way = Way::to_end;
    int epochs = 1;
    double at(std::int64_t epoch) const;
};

struct ArchRuleOptions {
    Algo algo = Algo::darts;
    std::uint64_t seed = 0;
    Temperature temperature;  // gdas, snas
    double kl = 0;  // drnas: weight of KL(Dir(c) || Dir(1, .., 1)), summed over all edges, in the alphas' loss
    /// gdas: operators that were not drawn add their straight-through weight, as in the published code, so that the
    /// alphas of each get the sum over all elements of its node's gradient. Else nothing of theirs is added.
    bool bare_sums = false;
    /// drnas: by matrix, edge and operator, what was not pruned; empty: all.
    std::vector<std::vector<bool>> kept = {};
};

/// Null for darts. A drawn row is shared by all cells of the matrix; each forward draws anew, in evaluation too.
std::unique_ptr<ArchRule> make_arch_rule(const ArchRuleOptions& options);

// Of the algorithms' files.
std::unique_ptr<ArchRule> make_drnas(const ArchRuleOptions& options);
std::unique_ptr<ArchRule> make_gdas(const ArchRuleOptions& options);
std::unique_ptr<ArchRule> make_snas(const ArchRuleOptions& options);
std::unique_ptr<ArchRule> make_rsps(const ArchRuleOptions& options);

}  // namespace nascent
