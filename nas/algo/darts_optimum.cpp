#include "nas/algo/darts_optimum.h"

#include <algorithm>
#include <limits>

#include "engine/base/error.h"

namespace nascent {

using darts::CellCode;
using darts::Code;
using darts::kEdges;

namespace {

/// Sorted by cost, then value; of these, every point that is worth less than all cheaper ones.
template <class Point>
void prune(std::vector<Point>& points) {
    std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
        return a.cost != b.cost ? a.cost < b.cost : a.value < b.value;
    });
    std::size_t kept = 0;
    for (const Point& p : points) {
        if (kept == 0 || p.value < points[kept - 1].value) points[kept++] = p;
    }
    points.resize(kept);
}

}  // namespace

DartsProblem::DartsProblem(const darts::Angle& angle, const darts::CodeCosts& costs, std::int64_t max_cost,
                           const darts::EdgeOperators& operators)
    : angle_(angle), costs_(costs), budget_(max_cost - costs.base), limited_(max_cost >= 0) {
    darts::check_operators(operators);
    for (bool reduction : {false, true}) {
        for (std::size_t e = 0; e < kEdges; ++e) {
            for (int op : operators[e]) {
                const std::int64_t cost = costs.ops[reduction][e][static_cast<std::size_t>(op)];
                NASCENT_CHECK(cost >= 0, data, "operator {} of edge {} costs {}", op, e, cost);
                if (op != 0) choices_[reduction][e].push_back({op, cost, 0});
            }
        }
    }
    for (const CellCode& cell : darts_wirings(operators)) {
        const auto times = darts::edge_multiplicities(cell, angle.switches().ends);
        Wiring w{};
        std::size_t n = 0;
        for (std::size_t e = 0; e < kEdges; ++e) {
            if (!cell[e]) continue;
            w.edges[n] = static_cast<std::uint8_t>(e);
            w.times[n++] = times[e];
        }
        wirings_.push_back(w);
    }
    std::int64_t low = 0, high = 0;
    for (bool reduction : {false, true}) {
        std::int64_t lowest = std::numeric_limits<std::int64_t>::max(), highest = 0;
        for (const Wiring& w : wirings_) {
            std::int64_t least = 0, most = 0;
            for (std::uint8_t e : w.edges) {
                const auto& all = choices_[reduction][e];
                const auto [min, max] = std::minmax_element(
                    all.begin(), all.end(), [](const Choice& a, const Choice& b) { return a.cost < b.cost; });
                least += min->cost;
                most += max->cost;
            }
            lowest = std::min(lowest, least);
            highest = std::max(highest, most);
        }
        low += lowest;
        high += highest;
    }
    NASCENT_CHECK(!limited_ || low <= budget_, usage,
                  "the largest angle: the limit {} is below the {} of the cheapest candidate", max_cost,
                  costs.base + low);
    if (!limited_ || budget_ >= high) {
        limited_ = false;
        budget_ = high;
    }
}

void DartsProblem::weigh(const LinearWeights& w) {
    for (bool reduction : {false, true}) {
        for (std::size_t e = 0; e < kEdges; ++e) {
            for (Choice& c : choices_[reduction][e]) {
                const darts::Angle::Entry& entry = angle_.table(reduction)[e][static_cast<std::size_t>(c.op)];
                c.value =
                    w.dot * entry.dot + w.n0 * entry.n0 + w.n1 * entry.n1 + (w.dot + w.n0 + w.n1) * (entry.ninths / 9);
            }
        }
    }
}

std::vector<const DartsProblem::Choice*> DartsProblem::choices(const Wiring& wiring, std::size_t place,
                                                               bool reduction) const {
    const std::vector<Choice>& all = choices_[reduction][wiring.edges[place]];
    std::vector<const Choice*> left;
    if (wiring.times[place] == 0) {
        left.push_back(&*std::min_element(all.begin(), all.end(),
                                          [](const Choice& a, const Choice& b) { return a.cost < b.cost; }));
        return left;
    }
    for (const Choice& c : all) left.push_back(&c);
    return left;
}

DartsProblem::Front DartsProblem::front_of(const Wiring& wiring, int number, bool reduction) const {
    Front points = {{0, 0.0, number}}, next;
    for (std::size_t i = 0; i < kUsed; ++i) {
        // Of an edge's operators those that are on its own front; without a limit the best alone.
        std::vector<Point> own;
        for (const Choice* c : choices(wiring, i, reduction))
            own.push_back({limited_ ? c->cost : 0, wiring.times[i] * c->value, number});
        prune(own);
        next.clear();
        for (const Point& p : points) {
            for (const Point& o : own) next.push_back({p.cost + o.cost, p.value + o.value, number});
        }
        prune(next);
        points.swap(next);
    }
    return points;
}

DartsProblem::Front DartsProblem::front(bool reduction) const {
    Front all;
    for (std::size_t w = 0; w < wirings_.size(); ++w) {
        const Front own = front_of(wirings_[w], static_cast<int>(w), reduction);
        all.insert(all.end(), own.begin(), own.end());
    }
    prune(all);
    return all;
}

CellCode DartsProblem::trace(const Point& point, bool reduction) const {
    // The same sums in the same order lead to the point again.
    struct Step {
        std::int64_t cost;
        double value;
        int before, op;
    };
    const Wiring& wiring = wirings_[static_cast<std::size_t>(point.wiring)];
    std::vector<std::vector<Step>> layers = {{{0, 0.0, -1, 0}}};
    for (std::size_t i = 0; i < kUsed; ++i) {
        std::vector<Step> own, next;
        for (const Choice* c : choices(wiring, i, reduction))
            own.push_back({limited_ ? c->cost : 0, wiring.times[i] * c->value, -1, c->op});
        prune(own);
        for (std::size_t b = 0; b < layers.back().size(); ++b) {
            const Step& p = layers.back()[b];
            for (const Step& o : own) next.push_back({p.cost + o.cost, p.value + o.value, static_cast<int>(b), o.op});
        }
        prune(next);
        layers.push_back(std::move(next));
    }
    CellCode cell{};
    int at = -1;
    for (std::size_t s = 0; s < layers.back().size(); ++s) {
        const Step& step = layers.back()[s];
        if (step.cost == point.cost && step.value == point.value) at = static_cast<int>(s);
    }
    NASCENT_CHECK(at >= 0, runtime, "the largest angle: a front's point has no cell");
    for (std::size_t i = kUsed; i-- > 0;) {
        const Step& step = layers[i + 1][static_cast<std::size_t>(at)];
        cell[wiring.edges[i]] = static_cast<std::uint8_t>(step.op);
        at = step.before;
    }
    return cell;
}

LinearOptimum DartsProblem::minimise(const LinearWeights& weights, bool) {
    weigh(weights);
    for (bool reduction : {false, true}) fronts_[reduction] = front(reduction);
    const Front &normal = fronts_[0], &reduce = fronts_[1];
    const Point *best_normal = nullptr, *best_reduce = nullptr;
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t n = 0, r = reduce.size(); n < normal.size(); ++n) {
        while (r > 0 && normal[n].cost + reduce[r - 1].cost > budget_) --r;
        if (r == 0) break;  // costs of the normal cell only rise
        const double value = normal[n].value + reduce[r - 1].value;
        if (value < best) best = value, best_normal = &normal[n], best_reduce = &reduce[r - 1];
    }
    NASCENT_CHECK(best_normal, runtime, "the largest angle: no two cells are within the limit");
    LinearOptimum x;
    const Code code{trace(*best_normal, false), trace(*best_reduce, true)};
    x.genes = darts::to_numbers(code);
    x.sums = angle_.sums(code);
    x.value = best + weights.of(angle_.fixed());
    return x;
}

template <class Worth, class Take>
bool DartsProblem::cells(bool reduction, double below, std::int64_t max_cost, std::int64_t& steps, const Worth& worth,
                         const Take& take) const {
    for (const Wiring& wiring : wirings_) {
        std::array<std::vector<const Choice*>, kUsed> ops;
        std::array<double, kUsed + 1> least{};
        std::array<std::int64_t, kUsed + 1> cheapest{};
        for (std::size_t i = kUsed; i-- > 0;) {
            ops[i] = choices(wiring, i, reduction);
            double low = std::numeric_limits<double>::infinity();
            std::int64_t cost = std::numeric_limits<std::int64_t>::max();
            for (const Choice* c : ops[i]) {
                low = std::min(low, wiring.times[i] * c->value);
                cost = std::min(cost, c->cost);
            }
            least[i] = least[i + 1] + low;
            cheapest[i] = cheapest[i + 1] + cost;
        }
        Cell cell{};
        auto descend = [&](auto& self, std::size_t i, std::int64_t cost, double value) -> bool {
            if (i == kUsed) {
                cell.cost = cost;
                cell.value = value;
                return take(cell);
            }
            for (const Choice* c : ops[i]) {
                if (--steps < 0) return false;
                if (steps % 65536 == 0) poll();
                const std::int64_t dearer = cost + c->cost, at_least = dearer + cheapest[i + 1];
                const double with = value + wiring.times[i] * c->value;
                if (at_least > max_cost || !(with + least[i + 1] + worth(at_least) < below)) continue;
                cell.code[wiring.edges[i]] = static_cast<std::uint8_t>(c->op);
                if (!self(self, i + 1, dearer, with)) return false;
            }
            return true;
        };
        if (cheapest[0] <= max_cost && least[0] + worth(cheapest[0]) < below && !descend(descend, 0, 0, 0.0))
            return false;
    }
    return true;
}

bool DartsProblem::list(const LinearWeights& weights, double below, std::int64_t budget, const Found& found) {
    const double fixed = weights.of(angle_.fixed());
    const Front& reduce = fronts_[1];
    // The best reduction cell beside a normal cell of some cost.
    auto beside = [&](std::int64_t cost) {
        const std::int64_t left = limited_ ? budget_ - cost : 0;  // without a limit the front has one point, of cost 0
        auto above = std::upper_bound(reduce.begin(), reduce.end(), left,
                                      [](std::int64_t value, const Point& p) { return value < p.cost; });
        return above == reduce.begin() ? std::numeric_limits<double>::infinity() : std::prev(above)->value;
    };
    // Rounding: values were summed in another order in the fronts. What `below` allows for covers that too.
    return cells(false, below - fixed, budget_, budget, beside, [&](const Cell& normal) {
        return cells(
            true, below - fixed - normal.value, budget_ - normal.cost, budget, [](std::int64_t) { return 0.0; },
            [&](const Cell& reduction) {
                const Code code{normal.code, reduction.code};
                found(darts::to_numbers(code), angle_.sums(code));
                return true;
            });
    });
}

AngleSums DartsProblem::least() const {
    AngleSums sums = angle_.fixed();
    for (bool reduction : {false, true}) {
        AngleSums low;
        bool first = true;
        for (const Wiring& w : wirings_) {
            AngleSums cell;
            for (std::size_t i = 0; i < kUsed; ++i) {
                const auto& table = angle_.table(reduction)[w.edges[i]];
                AngleSums edge;
                bool one = true;
                for (const Choice& c : choices_[reduction][w.edges[i]]) {
                    const darts::Angle::Entry& entry = table[static_cast<std::size_t>(c.op)];
                    const double constant = entry.ninths / 9;
                    const AngleSums s{entry.dot + constant, entry.n0 + constant, entry.n1 + constant};
                    edge = one ? s
                               : AngleSums{std::min(edge.dot, s.dot), std::min(edge.n0, s.n0), std::min(edge.n1, s.n1)};
                    one = false;
                }
                cell += w.times[i] * edge;
            }
            low = first ? cell
                        : AngleSums{std::min(low.dot, cell.dot), std::min(low.n0, cell.n0), std::min(low.n1, cell.n1)};
            first = false;
        }
        sums += low;
    }
    return sums;
}

}  // namespace nascent
