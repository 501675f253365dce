// DrNAS: Dirichlet Neural Architecture Search (Chen, Wang, Cheng, Tang and Hsieh, ICLR 2021): mixed ops are weighed by
// a draw from Dir(elu(alpha) + 1). Of a draw of all operators those that were pruned are left out, and the rest is
// divided by its sum.
#include <fmt/format.h>

#include <map>

#include "engine/autograd/execution.h"
#include "nas/algo/arch_draws.h"
#include "ops/constants.h"

namespace nascent {
namespace {

class Drnas final : public ArchRule {
  public:
    explicit Drnas(const ArchRuleOptions& o) : draw_{o.seed}, kl_(o.kl), kept_(o.kept) {}
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) override { draw_.begin(pass, epoch, number); }
    ArchWeights weights(const Tensor& alphas, int matrix) override {
        DrawKey key = draw_.key(matrix);
        if (const auto held = steps_.find(draw_.pass); held != steps_.end()) key.step_at = held->second;
        const Tensor drawn = dirichlet_draw(alphas, key);
        if (kept_.empty()) return {dirichlet(alphas, drawn)};
        return {dirichlet(alphas, drawn, mask(alphas, matrix)), {}, false, kept_.at(static_cast<std::size_t>(matrix))};
    }
    Tensor penalty(const Tensor& alphas) override { return kl_ > 0 ? dirichlet_kl(alphas, kl_) : Tensor{}; }
    void hold(HostValues& values, std::span<const Tensor>) override {
        values_ = &values;
        for (Pass pass : {Pass::architecture, Pass::weights})
            steps_[pass] = static_cast<std::uint64_t*>(values.take(sizeof(std::uint64_t)));
    }
    void prepare(Pass pass, std::int64_t epoch, std::int64_t number) override {
        ArchDraw draw = draw_;
        draw.begin(pass, epoch, number);
        values_->write(steps_.at(pass), draw.step);
    }
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
    /// What was not pruned, on the alphas' device: copied there once, because the host waits for a copy.
    Tensor mask(const Tensor& alphas, int matrix) {
        if (!masks_memory_ || &masks_memory_->device() != alphas.device) {
            masks_.assign(kept_.size(), Tensor{});
            masks_memory_ = std::make_unique<Arena>(*alphas.device, std::size_t{1} << 20);
        }
        Tensor& mask = masks_.at(static_cast<std::size_t>(matrix));
        if (!mask.defined()) {
            const std::vector<bool>& kept = kept_.at(static_cast<std::size_t>(matrix));
            const ExecutionScope here(*masks_memory_);
            mask = constants(alphas.shape, DType::f64, std::vector<double>(kept.begin(), kept.end()));
        }
        return mask;
    }

    ArchDraw draw_;
    double kl_;
    std::vector<std::vector<bool>> kept_;
    std::unique_ptr<Arena> masks_memory_;
    std::vector<Tensor> masks_;  // by matrix
    HostValues* values_ = nullptr;
    std::map<Pass, std::uint64_t*> steps_;  // of the draws, where they are held
};

}  // namespace

std::unique_ptr<ArchRule> make_drnas(const ArchRuleOptions& options) { return std::make_unique<Drnas>(options); }

}  // namespace nascent
