// GDAS: searching for a robust neural architecture in four GPU hours (Dong and Yang, CVPR 2019), as it ran for
// NAS-Bench-201, and on the DARTS space, whose cells in the published code add no sums: p = softmax((log softmax(alpha)
// + g) / tau) with Gumbel noise g, of which each edge computes the operator i of the largest entry, weighed by h =
// onehot(i) - stopgrad(p) + p.
#include <algorithm>

#include "nas/algo/arch_draws.h"
#include "nas/space/nasbench201.h"
#include "ops/constants.h"
#include "ops/reference.h"

namespace nascent {
namespace {

class Gdas final : public ArchRule {
  public:
    explicit Gdas(const ArchRuleOptions& o) : draw_{o.seed}, temperature_(o.temperature), bare_sums_(o.bare_sums) {}
    void begin(Pass pass, std::int64_t epoch, std::int64_t number) override { draw_.begin(pass, epoch, number); }

    std::string differs() const override { return "the host chooses the operators that a forward computes"; }

    /// What runs depends on the noise and the alphas of this forward, so the host waits for p.
    ArchWeights weights(const Tensor& alphas, int matrix) override {
        const Tensor p = gumbel_softmax(alphas, gumbel_noise(draw_, alphas, matrix), temperature_.at(draw_.epoch));
        const std::vector<double> drawn = numbers_of(p);
        const auto columns = static_cast<std::size_t>(alphas.shape[1]);
        ArchWeights result{{}, {}, bare_sums_};
        for (auto row = drawn.begin(); row != drawn.end(); row += static_cast<std::ptrdiff_t>(columns))
            result.chosen.push_back(
                static_cast<int>(std::max_element(row, row + static_cast<std::ptrdiff_t>(columns)) - row));
        result.weights = straight_through(p, drawn, result.chosen);
        return result;
    }

  private:
    /// h, and behind it, where bare sums are wanted, for each node the sum of h over the operators of its edges that do
    /// not run: one linear map of p with the constants as its bias.
    Tensor straight_through(const Tensor& p, const std::vector<double>& drawn, const std::vector<int>& chosen) const {
        const std::size_t size = drawn.size(), columns = size / chosen.size();
        const std::size_t rows = size + (bare_sums_ ? nb201::kNodes - 1 : 0);
        std::vector<double> map(rows * size, 0.0), bias(rows, 0.0);
        for (std::size_t e = 0; e < chosen.size(); e++)
            for (std::size_t o = 0; o < columns; o++) {
                const std::size_t i = e * columns + o;
                const bool runs = static_cast<std::size_t>(chosen[e]) == o;
                map[i * size + i] = 1;
                bias[i] = (runs ? 1.0 : 0.0) - drawn[i];
                if (runs || !bare_sums_) continue;
                const std::size_t node = size + static_cast<std::size_t>(nb201::kEdgeList[e].to) - 1;
                map[node * size + i] = 1;
                bias[node] -= drawn[i];
            }
        Tensor flat = p;  // the same values as one row
        flat.shape = {1, static_cast<std::int64_t>(size)};
        const auto count = static_cast<std::int64_t>(rows);
        return linear(flat, constants({count, flat.shape[1]}, p.dtype, map), constants({count}, p.dtype, bias));
    }

    ArchDraw draw_;
    Temperature temperature_;
    bool bare_sums_;
};

}  // namespace

std::unique_ptr<ArchRule> make_gdas(const ArchRuleOptions& options) { return std::make_unique<Gdas>(options); }

}  // namespace nascent
