// How well a network classifies.
#pragma once
#include <cstdint>
#include <functional>

#include "nas/algo/batches.h"
#include "nas/supernet/search_net.h"

namespace nascent {

/// Sums over pictures.
struct Score {
    double loss = 0;
    std::int64_t pictures = 0, top1 = 0, top5 = 0;
    void add(double mean_loss, const Score& batch);
    double mean_loss() const { return loss / static_cast<double>(pictures); }
    /// In percent.
    double accuracy() const { return percent(top1); }
    double accuracy5() const { return percent(top5); }

  private:
    double percent(std::int64_t hits) const { return 100 * static_cast<double>(hits) / static_cast<double>(pictures); }
};

/// Which labels are the first and among the first five of their logits (n, classes); of equals the lower class comes
/// first, a not-a-number hits nothing. The loss is left out. Waits for the logits.
Score hits(const Tensor& logits, const Tensor& labels);
/// The same of tensors in the host's memory.
Score hits_on_host(const Tensor& logits, const Tensor& labels);

/// Running statistics, no gradients, batches first ... first + steps of the source; to the network's rule they are of
/// this pass. `stop` is asked between batches; true ends it at once, with what there is.
Score evaluate(SearchNet& net, Arena& arena, const BatchSource& source, std::int64_t first, std::int64_t steps,
               const std::function<bool()>& stop, Pass pass = Pass::evaluation);

}  // namespace nascent
