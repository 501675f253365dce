// Random search with shared weights (RSPS; Li and Talwalkar, Random search and reproducibility for neural architecture
// search, UAI 2019), as NAS-Bench-201's authors ran it: every forward computes one architecture drawn uniformly, the
// weights alone are trained, and of so many drawn architectures the one that classifies best is taken.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "nas/algo/arch_draws.h"
#include "nas/algo/bilevel.h"

namespace nascent {

/// An operator for each of `edges` edges, uniform among `operators`: a function of the draw alone.
std::vector<int> uniform_choice(const ArchDraw& draw, int matrix, int edges, int operators);

/// What was chosen, edge by edge, and how it did.
struct Candidate {
    std::vector<int> chosen;
    Score score;
};
/// Of `count` candidates drawn for this epoch, each evaluated on one batch (the next of the source for the next one),
/// the one with the most hits, of equals the first. `stop` is asked between them; true: nothing is chosen.
std::optional<Candidate> choose_candidate(BilevelTrainer& trainer, const BatchSource& source, std::uint64_t seed,
                                          std::int64_t epoch, int count, const AlphaMatrix& matrix,
                                          const std::function<bool()>& stop);

}  // namespace nascent
