#include "nas/metric/correlation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/base/error.h"

namespace nascent {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Pairs {
    std::vector<double> truth, score;
    std::int64_t dropped = 0;
    std::size_t size() const { return truth.size(); }
};

Pairs without_nan(std::span<const double> truth, std::span<const double> score) {
    NASCENT_CHECK(truth.size() == score.size(), usage, "correlation: {} true values and {} scores", truth.size(),
                  score.size());
    Pairs pairs;
    for (std::size_t i = 0; i < truth.size(); ++i) {
        NASCENT_CHECK(!std::isnan(truth[i]), data, "correlation: true value {} is NaN", i);
        if (std::isnan(score[i])) {
            ++pairs.dropped;
            continue;
        }
        pairs.truth.push_back(truth[i]);
        pairs.score.push_back(score[i]);
    }
    return pairs;
}

/// Sorts `values` ascending and returns how many pairs were out of order (i < j, values[i] > values[j]).
template <class T>
std::int64_t sort_counting_inversions(std::vector<T>& values) {
    std::vector<T> merged(values.size());
    std::int64_t inversions = 0;
    for (std::size_t width = 1; width < values.size(); width *= 2) {
        for (std::size_t low = 0; low < values.size(); low += 2 * width) {
            std::size_t middle = std::min(low + width, values.size()), high = std::min(low + 2 * width, values.size());
            std::size_t a = low, b = middle;
            for (std::size_t out = low; out < high; ++out) {
                if (a < middle && (b == high || !(values[b] < values[a]))) {
                    merged[out] = values[a++];
                } else {
                    merged[out] = values[b++];
                    inversions += static_cast<std::int64_t>(middle - a);
                }
            }
        }
        values.swap(merged);
    }
    return inversions;
}

std::int64_t pairs_of(std::int64_t n) { return n * (n - 1) / 2; }

/// Pairs within runs of equal elements of a sorted list; `same(i, j)` compares two positions.
template <class Same>
std::int64_t tied_pairs(std::size_t n, const Same& same) {
    std::int64_t tied = 0;
    for (std::size_t from = 0, to = 0; from < n; from = to) {
        while (to < n && same(from, to)) ++to;
        tied += pairs_of(static_cast<std::int64_t>(to - from));
    }
    return tied;
}

std::vector<double> average_ranks(const std::vector<double>& values) {
    std::vector<int> order = rank_descending(values);
    std::vector<double> ranks(values.size());
    auto value = [&](std::size_t i) { return values[static_cast<std::size_t>(order[i])]; };
    for (std::size_t from = 0, to = 0; from < order.size(); from = to) {
        while (to < order.size() && value(to) == value(from)) ++to;
        for (std::size_t i = from; i < to; ++i) {
            ranks[static_cast<std::size_t>(order[i])] = 0.5 * static_cast<double>(from + to - 1);
        }
    }
    return ranks;
}

}  // namespace

std::vector<int> rank_descending(std::span<const double> values) {
    std::vector<int> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        double x = values[static_cast<std::size_t>(a)], y = values[static_cast<std::size_t>(b)];
        return std::isnan(y) ? !std::isnan(x) : x > y;
    });
    return order;
}

Correlation kendall_tau_ordinal(std::span<const double> truth, std::span<const double> score) {
    Pairs pairs = without_nan(truth, score);
    auto n = static_cast<std::int64_t>(pairs.size());
    Correlation result{kNaN, n, pairs.dropped};
    if (n < 2) return result;
    std::vector<int> by_score = rank_descending(pairs.score), rank(pairs.size());
    for (std::size_t r = 0; r < by_score.size(); ++r) rank[static_cast<std::size_t>(by_score[r])] = static_cast<int>(r);
    std::vector<int> ranks;  // score ranks, best true value first
    for (int i : rank_descending(pairs.truth)) ranks.push_back(rank[static_cast<std::size_t>(i)]);
    std::int64_t discordant = sort_counting_inversions(ranks);
    result.value = static_cast<double>(pairs_of(n) - 2 * discordant) / static_cast<double>(pairs_of(n));
    return result;
}

Correlation kendall_tau_b(std::span<const double> truth, std::span<const double> score) {
    Pairs pairs = without_nan(truth, score);
    auto n = static_cast<std::int64_t>(pairs.size());
    Correlation result{kNaN, n, pairs.dropped};
    std::vector<std::pair<double, double>> sorted;
    for (std::size_t i = 0; i < pairs.size(); ++i) sorted.emplace_back(pairs.truth[i], pairs.score[i]);
    std::sort(sorted.begin(), sorted.end());
    std::int64_t tied_truth =
        tied_pairs(sorted.size(), [&](std::size_t i, std::size_t j) { return sorted[i].first == sorted[j].first; });
    std::int64_t tied_both =
        tied_pairs(sorted.size(), [&](std::size_t i, std::size_t j) { return sorted[i] == sorted[j]; });
    std::vector<double> scores;
    scores.reserve(sorted.size());
    for (const auto& p : sorted) scores.push_back(p.second);
    std::int64_t discordant = sort_counting_inversions(scores);
    std::int64_t tied_score =
        tied_pairs(scores.size(), [&](std::size_t i, std::size_t j) { return scores[i] == scores[j]; });
    std::int64_t all = pairs_of(n);
    if (tied_truth == all || tied_score == all) return result;
    std::int64_t balance = all - tied_truth - tied_score + tied_both - 2 * discordant;
    result.value = static_cast<double>(balance) / std::sqrt(static_cast<double>(all - tied_truth)) /
                   std::sqrt(static_cast<double>(all - tied_score));
    return result;
}

Correlation spearman_rho(std::span<const double> truth, std::span<const double> score) {
    Pairs pairs = without_nan(truth, score);
    auto n = static_cast<std::int64_t>(pairs.size());
    Correlation result{kNaN, n, pairs.dropped};
    std::vector<double> a = average_ranks(pairs.truth), b = average_ranks(pairs.score);
    double mean = 0.5 * static_cast<double>(n - 1), ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        ab += (a[i] - mean) * (b[i] - mean);
        aa += (a[i] - mean) * (a[i] - mean);
        bb += (b[i] - mean) * (b[i] - mean);
    }
    if (aa > 0 && bb > 0) result.value = ab / std::sqrt(aa * bb);
    return result;
}

TopK top_k(std::span<const double> truth, std::span<const double> score, int k) {
    Pairs pairs = without_nan(truth, score);
    NASCENT_CHECK(k >= 1 && pairs.size() > 0, usage, "top {} of {} architectures", k, pairs.size());
    TopK result{.k = std::min(k, static_cast<int>(pairs.size())), .dropped = pairs.dropped};
    std::vector<int> by_truth = rank_descending(pairs.truth), by_score = rank_descending(pairs.score);
    std::vector<bool> truly_best(pairs.size());
    for (int i = 0; i < result.k; ++i)
        truly_best[static_cast<std::size_t>(by_truth[static_cast<std::size_t>(i)])] = true;
    double best = -std::numeric_limits<double>::infinity();
    for (int i = 0; i < result.k; ++i) {
        auto at = static_cast<std::size_t>(by_score[static_cast<std::size_t>(i)]);
        best = std::max(best, pairs.truth[at]);
        result.overlap += truly_best[at] ? 1 : 0;
    }
    result.regret = pairs.truth[static_cast<std::size_t>(by_truth[0])] - best;
    result.precision = static_cast<double>(result.overlap) / result.k;
    return result;
}

}  // namespace nascent
