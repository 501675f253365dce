// DrNAS: Dirichlet Neural Architecture Search (Chen, Wang, Cheng, Tang and Hsieh, ICLR 2021), as its code's search on
// NAS-Bench-201 without partial channels: mixed ops are weighed by a draw from Dir(elu(alpha) + 1).
#include <fmt/format.h>

#include "nas/algo/arch_draws.h"

namespace nascent {
namespace {

class Drnas final : public ArchRule {
  public:
    explicit Drnas(const ArchRuleOptions& o) : draw_{o.seed}, kl_(o.kl) {}
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) override { draw_.begin(pass, epoch, number); }
    ArchWeights weights(const Tensor& alphas, int matrix) override {
        return {dirichlet(alphas, dirichlet_draw(alphas, draw_.key(matrix)))};
    }
    Tensor penalty(const Tensor& alphas) override { return kl_ > 0 ? dirichlet_kl(alphas, kl_) : Tensor{}; }
    std::string objection(double alpha) const override {
        const double c = concentration(alpha);
        if (c >= kLeastConcentration && c <= kLargestConcentration) return {};
        return fmt::format(
            "the Dirichlet concentration is {:.3g}, outside {} to {}, where gradients of draws are exact; try a "
            "smaller "
            "arch.lr or a larger arch.weight_decay",
            c, kLeastConcentration, kLargestConcentration);
    }

  private:
    ArchDraw draw_;
    double kl_;
};

}  // namespace

std::unique_ptr<ArchRule> make_drnas(const ArchRuleOptions& options) { return std::make_unique<Drnas>(options); }

}  // namespace nascent
