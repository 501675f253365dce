// Scores of genes without a network, and what an evolution has, as bytes.
#pragma once
#include <string>
#include <vector>

#include "nas/algo/evolution.h"

namespace nascent::test {

using Score = double (*)(const Genes&);

// Three landscapes: few values and so ties everywhere; additive, where parents converge; one that wants only `none`.
inline double ties(const Genes& genes) {
    int s = 0;
    for (int g : genes) s = (s * 7 + g * g + 1) % 61;
    return s;
}
inline double smooth(const Genes& genes) {
    int s = 0;
    for (std::size_t i = 0; i < genes.size(); ++i) s += static_cast<int>(i % 6 + 1) * genes[i];
    return s;
}
inline double few(const Genes& genes) {
    int s = 0;
    for (int g : genes) s += g;
    return -s;
}

inline ScoreFunction each(Score score) {
    return [score](const std::vector<Genes>& all) {
        std::vector<double> scores;
        for (const Genes& g : all) scores.push_back(score(g));
        return scores;
    };
}

inline std::string bytes_of(const EvolutionState& state, const std::vector<int>& list) {
    std::string bytes;
    for (int i : list) {
        for (int g : state.visited[static_cast<std::size_t>(i)].genes) bytes += static_cast<char>(g);
    }
    return bytes;
}

}  // namespace nascent::test
