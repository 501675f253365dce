#include "nas/algo/rsps.h"

#include "ops/constants.h"

namespace nascent {
namespace {

class Rsps final : public ArchRule {
  public:
    explicit Rsps(const ArchRuleOptions& o) : draw_{o.seed} {}
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) override { draw_.begin(pass, epoch, number); }

    std::string differs() const override { return "the host chooses the operators that a forward computes"; }

    ArchWeights weights(const Tensor& alphas, int matrix) override {
        const auto edges = static_cast<int>(alphas.shape[0]), operators = static_cast<int>(alphas.shape[1]);
        return {constants(alphas.shape, alphas.dtype, 1), uniform_choice(draw_, matrix, edges, operators)};
    }

  private:
    ArchDraw draw_;
};

}  // namespace

std::vector<int> uniform_choice(const ArchDraw& draw, int matrix, int edges, int operators) {
    std::vector<int> chosen;
    for (int e = 0; e < edges; e++) {
        const Random r(draw.seed, RandomStream::architecture, draw.step,
                       ArchDraw::first(matrix) + static_cast<std::uint32_t>(e));
        chosen.push_back(static_cast<int>(r.below(0, static_cast<std::uint32_t>(operators))));
    }
    return chosen;
}

std::optional<Candidate> choose_candidate(BilevelTrainer& trainer, const BatchSource& source, std::uint64_t seed,
                                          std::int64_t epoch, int count, const AlphaMatrix& matrix,
                                          const std::function<bool()>& stop) {
    std::optional<Candidate> best;
    for (std::int64_t number = epoch * count; number < (epoch + 1) * count; number++) {
        if (stop()) return {};
        const Score score = trainer.evaluate_candidate(source, number);
        // Batches differ in size at an epoch's end: shares are compared.
        if (best && score.top1 * best->score.pictures <= best->score.top1 * score.pictures) continue;
        ArchDraw draw{seed};
        draw.begin(Pass::selection, epoch, number);
        best = {
            uniform_choice(draw, 0, static_cast<int>(matrix.edges.size()), static_cast<int>(matrix.operators.size())),
            score};
    }
    return best;
}

std::unique_ptr<ArchRule> make_rsps(const ArchRuleOptions& options) { return std::make_unique<Rsps>(options); }

}  // namespace nascent
