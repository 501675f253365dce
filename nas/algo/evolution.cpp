#include "nas/algo/evolution.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace nascent {

using Origin = EvolutionState::Origin;

Genes GeneSpace::crossover(const Genes& a, const Genes& b, NumpyRandom& random) const {
    Genes child(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) child[i] = random.below(2) ? b[i] : a[i];
    return child;
}

bool EvolutionState::operator==(const EvolutionState& other) const {
    auto same = [](const Candidate& a, const Candidate& b) {
        bool scores = a.score == b.score || (std::isnan(a.score) && std::isnan(b.score));
        return a.genes == b.genes && a.origin == b.origin && a.generation == b.generation && a.parents == b.parents &&
               a.scored == b.scored && scores;
    };
    return random == other.random && generation == other.generation && candidates == other.candidates &&
           parents == other.parents && top == other.top && dropped == other.dropped &&
           std::equal(visited.begin(), visited.end(), other.visited.begin(), other.visited.end(), same);
}

Evolution::Evolution(const GeneSpace& space, const EvolutionConfig& config, const NumpyRandom& random)
    : space_(space), config_(config), random_(random) {
    check();
    add_random();
    remember();
}

Evolution::Evolution(const GeneSpace& space, const EvolutionConfig& config, EvolutionState state)
    : space_(space), config_(config), random_(state.random), state_(std::move(state)) {
    check();
    NASCENT_CHECK(state_.generation >= 0, data, "evolution state: generation {}", state_.generation);
    NASCENT_CHECK(state_.visited.size() <= std::numeric_limits<int>::max(), data, "evolution state: {} candidates",
                  state_.visited.size());
    auto count = static_cast<int>(state_.visited.size());
    for (int i = 0; i < count; ++i) {
        const auto& v = state_.visited[static_cast<std::size_t>(i)];
        NASCENT_CHECK(!v.genes.empty() && v.genes.size() == state_.visited[0].genes.size(), data,
                      "evolution state: candidate {} has {} genes", i, v.genes.size());
        NASCENT_CHECK(known_.emplace(v.genes, i).second, data, "evolution state: candidate {} is there twice", i);
        for (int p : v.parents) {
            NASCENT_CHECK(p >= 0 && p < i, data, "evolution state: candidate {} has the parent {}", i, p);
        }
    }
    for (const Genes& genes : state_.dropped) {
        NASCENT_CHECK(!genes.empty() && (count == 0 || genes.size() == state_.visited[0].genes.size()) &&
                          known_.emplace(genes, -1).second,
                      data, "evolution state: a dropped candidate of {} genes is of another space or there twice",
                      genes.size());
    }
    auto check_list = [&](const std::vector<int>& list, const char* name, bool scored) {
        for (int i : list) {
            NASCENT_CHECK(i >= 0 && i < count && state_.visited[static_cast<std::size_t>(i)].scored == scored, data,
                          "evolution state: {} names candidate {}, which is not {}", name, i,
                          scored ? "a scored one" : "one to be scored");
        }
    };
    check_list(state_.candidates, "the population", false);
    check_list(state_.parents, "the list of parents", true);
    check_list(state_.top, "the list of the best", true);
}

void Evolution::check() const {
    const EvolutionConfig& c = config_;
    NASCENT_CHECK(c.population > 0 && c.select > 0 && c.top > 0 && c.batch > 0 && c.patience > 0, usage,
                  "evolution: population {}, select {}, top {}, batch {}, patience {} must be positive", c.population,
                  c.select, c.top, c.batch, c.patience);
    NASCENT_CHECK(c.mutation >= 0 && c.crossover >= 0 && c.generations >= 0 && c.tries >= 0, usage,
                  "evolution: mutation {}, crossover {}, generations {}, tries {} must not be negative", c.mutation,
                  c.crossover, c.generations, c.tries);
    NASCENT_CHECK(c.mutation_probability >= 0 && c.mutation_probability <= 1, usage,
                  "evolution: mutation probability {} is outside 0..1", c.mutation_probability);
}

bool Evolution::done() const { return state_.generation >= config_.generations || state_.candidates.empty(); }

int Evolution::take(Bred bred, Origin origin) {
    const bool as_drawn = config_.duplicates == EvolutionConfig::Duplicates::drawn;
    if (as_drawn && !known_.emplace(bred.genes, -1).second) return -1;
    Genes genes = space_.repair(bred.genes, random_);
    const auto found = known_.find(genes);
    if (found != known_.end() && found->second >= 0) return -1;
    if (!space_.legal(genes)) {
        if (as_drawn) known_.emplace(genes, -1);
        return -1;
    }
    const auto place = static_cast<int>(state_.visited.size());
    known_[genes] = place;
    state_.visited.push_back({.genes = std::move(genes),
                              .origin = origin,
                              .generation = state_.generation,
                              .parents = std::move(bred.parents)});
    return place;
}

std::vector<int> Evolution::breed(Origin origin, int wanted, const Budget& budget, const std::function<Bred()>& make) {
    std::vector<int> found;
    auto complete = [&] { return static_cast<int>(found.size()) >= wanted; };
    std::int64_t in_vain = 0, tries = budget.tries;
    const auto more = [&] { return space_.has_more_than(state_.visited.size()); };
    for (std::int64_t b = 0; !complete() && tries > 0 && b < budget.batches && in_vain < config_.patience && more();
         ++b) {
        // The batch is drawn as a whole before any of it is looked at, also where its first completes the list.
        config_.poll();
        std::vector<Bred> batch;
        for (int i = 0; i < config_.batch; ++i) batch.push_back(make());
        for (Bred& bred : batch) {
            if (complete() || tries == 0) break;
            --tries;
            ++in_vain;
            const int place = take(std::move(bred), origin);
            if (place < 0) continue;
            found.push_back(place);
            in_vain = 0;
        }
    }
    return found;
}

std::vector<int> Evolution::breed_legal(Origin origin, int wanted, int parents, double probability) {
    std::vector<int> found;
    for (int i = 0; i < wanted && space_.draws_legal() && space_.has_more_than(state_.visited.size()); ++i) {
        config_.poll();
        std::vector<int> of;
        for (int p = 0; p < parents; ++p) of.push_back(draw_parent());
        const auto genes_of = [&](int p) { return state_.visited[static_cast<std::size_t>(p)].genes; };
        const Genes a = genes_of(of.front()), b = genes_of(of.back());
        std::vector<bool> free(a.size());
        std::vector<std::size_t> bound;  // in what order the others are freed
        for (std::size_t g = 0; g < a.size(); ++g) {
            free[g] = probability > 0 && random_.random_sample() < probability;
            if (!free[g]) bound.push_back(g);
        }
        for (;;) {
            const std::optional<Genes> drawn = space_.legal_between(a, b, free, random_);
            const int place = drawn ? take({*drawn, of}, origin) : -1;
            if (place >= 0) found.push_back(place);
            if (place >= 0 || bound.empty()) break;
            const auto next = bound.begin() + random_.below(static_cast<int>(bound.size()));
            free[*next] = true;
            bound.erase(next);
        }
    }
    return found;
}

Evolution::Budget Evolution::budget(int wanted) const {
    constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
    return {kNever, config_.tries == 0 ? kNever : config_.tries * wanted};
}

void Evolution::add_random() {
    const int wanted = config_.population - static_cast<int>(state_.candidates.size());
    Budget most = budget(config_.population);
    if (!config_.random_gives_up) most.tries = std::numeric_limits<std::int64_t>::max();
    const std::vector<int> found = breed(Origin::random, wanted, most, [&] {
        return Bred{space_.random(random_), {}};
    });
    state_.candidates.insert(state_.candidates.end(), found.begin(), found.end());
}

void Evolution::remember() {
    state_.dropped.clear();
    for (const auto& [genes, place] : known_) {
        if (place < 0) state_.dropped.push_back(genes);
    }
    state_.random = random_.state();
}

int Evolution::draw_parent() {
    return state_.parents[static_cast<std::size_t>(random_.below(static_cast<int>(state_.parents.size())))];
}

void Evolution::keep_best(std::vector<int>& list, int size) const {
    list.insert(list.end(), state_.candidates.begin(), state_.candidates.end());
    std::stable_sort(list.begin(), list.end(), [&](int a, int b) {
        double x = state_.visited[static_cast<std::size_t>(a)].score,
               y = state_.visited[static_cast<std::size_t>(b)].score;
        return std::isnan(y) ? !std::isnan(x) : x > y;
    });
    if (list.size() > static_cast<std::size_t>(size)) list.resize(static_cast<std::size_t>(size));
}

void Evolution::step(const ScoreFunction& score) {
    NASCENT_CHECK(!done(), usage, "evolution: all {} generations are done", state_.generation);
    std::vector<Genes> genes;
    for (int i : state_.candidates) genes.push_back(state_.visited[static_cast<std::size_t>(i)].genes);
    std::vector<double> scores = score(genes);
    NASCENT_CHECK(scores.size() == genes.size(), runtime, "evolution: {} scores for {} candidates", scores.size(),
                  genes.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
        auto& candidate = state_.visited[static_cast<std::size_t>(state_.candidates[i])];
        candidate.score = scores[i];
        candidate.scored = true;
    }
    keep_best(state_.parents, config_.select);
    keep_best(state_.top, config_.top);

    state_.candidates.clear();
    ++state_.generation;
    auto genes_of = [&](int i) -> const Genes& { return state_.visited[static_cast<std::size_t>(i)].genes; };
    const auto complete = [&](std::vector<int> found, Origin origin, int wanted, int parents, double probability) {
        const std::vector<int> more =
            breed_legal(origin, wanted - static_cast<int>(found.size()), parents, probability);
        found.insert(found.end(), more.begin(), more.end());
        return found;
    };
    auto mutations = [&](int wanted) {
        std::vector<int> found = breed(Origin::mutation, wanted, budget(wanted), [&] {
            int parent = draw_parent();
            return Bred{space_.mutate(genes_of(parent), config_.mutation_probability, random_), {parent}};
        });
        return complete(std::move(found), Origin::mutation, wanted, 1, config_.mutation_probability);
    };
    auto crossovers = [&] {
        Budget most = budget(config_.crossover);
        // Without a number of tries crossover alone gives up, after one batch more than it should find candidates.
        if (config_.tries == 0) most.batches = config_.crossover + 1;
        std::vector<int> found = breed(Origin::crossover, config_.crossover, most, [&] {
            int a = draw_parent();
            int b = draw_parent();
            return Bred{space_.crossover(genes_of(a), genes_of(b), random_), {a, b}};
        });
        return complete(std::move(found), Origin::crossover, config_.crossover, 2, 0);
    };
    std::vector<int> mutated, crossed;
    if (config_.first == EvolutionConfig::First::mutation) {
        mutated = mutations(config_.mutation);
        crossed = crossovers();
    } else {
        crossed = crossovers();
        mutated = mutations(std::max(0, config_.population - static_cast<int>(crossed.size())));
    }
    state_.candidates = std::move(mutated);
    state_.candidates.insert(state_.candidates.end(), crossed.begin(), crossed.end());
    add_random();
    remember();
}

const EvolutionState::Candidate& Evolution::best() const {
    NASCENT_CHECK(!state_.parents.empty(), usage, "evolution: nothing is scored yet");
    return state_.visited[static_cast<std::size_t>(state_.parents[0])];
}

}  // namespace nascent
