// SNAS: Stochastic Neural Architecture Search (Xie, Zheng, Liu and Lin, ICLR 2019): mixed ops are weighed by concrete
// (Gumbel-softmax) variables of an annealed temperature, through which the alphas get their gradient.
#include "nas/algo/arch_draws.h"

namespace nascent {
namespace {

class Snas final : public ArchRule {
  public:
    explicit Snas(const ArchRuleOptions& o) : draw_{o.seed}, temperature_(o.temperature) {}
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) override { draw_.begin(pass, epoch, number); }
    ArchWeights weights(const Tensor& alphas, int matrix) override {
        return {gumbel_softmax(alphas, gumbel_noise(draw_, alphas, matrix), temperature_.at(draw_.epoch))};
    }

  private:
    ArchDraw draw_;
    Temperature temperature_;
};

}  // namespace

std::unique_ptr<ArchRule> make_snas(const ArchRuleOptions& options) { return std::make_unique<Snas>(options); }

}  // namespace nascent
