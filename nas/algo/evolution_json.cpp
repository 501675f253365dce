#include "nas/algo/evolution_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace nascent {

using nlohmann::json;

std::string evolution_to_json(const EvolutionState& s) {
    json visited = json::array();
    for (const EvolutionState::Candidate& c : s.visited) {
        // NaN has no JSON; a scored candidate without a score is one whose score was NaN.
        json score = c.scored && !std::isnan(c.score) ? json(c.score) : json();
        visited.push_back({c.genes, static_cast<int>(c.origin), c.generation, c.parents, c.scored, score});
    }
    return json{{"random", {{"words", s.random.words}, {"position", s.random.position}}},
                {"generation", s.generation},
                {"visited", visited},
                {"candidates", s.candidates},
                {"parents", s.parents},
                {"top", s.top},
                {"dropped", s.dropped}}
        .dump();
}

EvolutionState evolution_from_json(std::string_view text, const std::string& source) {
    try {
        const json j = json::parse(text);
        EvolutionState s;
        j.at("random").at("words").get_to(s.random.words);
        NASCENT_CHECK(j.at("random").at("words").size() == s.random.words.size(), checkpoint,
                      "{}: the random state has {} words, expected {}", source, j.at("random").at("words").size(),
                      s.random.words.size());
        j.at("random").at("position").get_to(s.random.position);
        j.at("generation").get_to(s.generation);
        for (const json& v : j.at("visited")) {
            EvolutionState::Candidate& c = s.visited.emplace_back();
            v.at(0).get_to(c.genes);
            const int origin = v.at(1).get<int>();
            NASCENT_CHECK(origin >= 0 && origin <= static_cast<int>(EvolutionState::Origin::crossover), checkpoint,
                          "{}: candidate {} has origin {}, expected 0..2", source, s.visited.size() - 1, origin);
            c.origin = static_cast<EvolutionState::Origin>(origin);
            v.at(2).get_to(c.generation);
            v.at(3).get_to(c.parents);
            v.at(4).get_to(c.scored);
            c.score = v.at(5).is_null() ? (c.scored ? NAN : 0) : v.at(5).get<double>();
        }
        j.at("candidates").get_to(s.candidates);
        j.at("parents").get_to(s.parents);
        j.at("top").get_to(s.top);
        if (j.contains("dropped")) j.at("dropped").get_to(s.dropped);  // not in states before it was there
        return s;
    } catch (const json::exception& e) {
        fail(ErrorKind::checkpoint, "{}: expected a search's state as JSON: {}", source, e.what());
    }
}

}  // namespace nascent
