// SNAS: Stochastic Neural Architecture Search (Xie, Zheng, Liu and Lin, ICLR 2019): mixed ops are weighed by concrete
// (Gumbel-softmax) variables of an annealed temperature, through which the alphas get their gradient.
#include <map>

#include "nas/algo/arch_draws.h"

namespace nascent {
namespace {

class Snas final : public ArchRule {
  public:
    explicit Snas(const ArchRuleOptions& o) : draw_{o.seed}, temperature_(o.temperature) {}
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) override { draw_.begin(pass, epoch, number); }
    ArchWeights weights(const Tensor& alphas, int matrix) override {
        if (const auto held = held_.find(draw_.pass); held != held_.end()) {
            const Tensor& noise = held->second.noise.at(static_cast<std::size_t>(matrix));
            return {gumbel_softmax(alphas, noise, held->second.inverse_temperature)};
        }
        return {gumbel_softmax(alphas, gumbel_noise(draw_, alphas, matrix), temperature_.at(draw_.epoch))};
    }

    void hold(HostValues& values, std::span<const Tensor> alphas) override {
        values_ = &values;
        for (Pass pass : {Pass::architecture, Pass::weights}) {
            Held& h = held_[pass];
            for (const Tensor& a : alphas) h.noise.push_back(values.tensor(a.shape, a.dtype));
            h.inverse_temperature = values.tensor({1}, alphas[0].dtype);
        }
    }
    void prepare(Pass pass, std::int64_t epoch, std::int64_t number) override {
        ArchDraw draw = draw_;
        draw.begin(pass, epoch, number);
        const Held& h = held_.at(pass);
        auto write = [this](const Tensor& to, const std::vector<double>& from) {
            with_type(to.dtype, [&](auto zero) {
                const std::vector<decltype(zero)> typed(from.begin(), from.end());
                values_->write(to.data, typed.data(), to.bytes());
            });
        };
        for (std::size_t m = 0; m < h.noise.size(); m++)
            write(h.noise[m], gumbel_numbers(draw, h.noise[m].size(), static_cast<int>(m)));
        write(h.inverse_temperature, {1 / temperature_.at(epoch)});
    }

  private:
    struct Held {
        std::vector<Tensor> noise;  // by matrix
        Tensor inverse_temperature;
    };
    ArchDraw draw_;
    Temperature temperature_;
    HostValues* values_ = nullptr;
    std::map<Pass, Held> held_;
};

}  // namespace

std::unique_ptr<ArchRule> make_snas(const ArchRuleOptions& options) { return std::make_unique<Snas>(options); }

}  // namespace nascent
