#include "nas/algo/shrink_json.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

namespace nascent {
namespace {

using nlohmann::json;
constexpr const char* kFormat = "nascent shrunk space";

/// For messages. Lists and objects are not written out: that takes as much stack as they are deep.
std::string shown(const json& j) { return j.is_structured() ? j.type_name() : j.dump().substr(0, 100); }

/// Of operators, layers and counts: nothing that a narrower or a signed type would turn into another number.
int integer(const json& j, const std::string& source) {
    constexpr std::int64_t kMost = 1'000'000;
    const bool fits = j.is_number_unsigned() ? j.get<std::uint64_t>() <= std::uint64_t{kMost}
                                             : j.is_number_integer() && j.get<std::int64_t>() >= -1;
    NASCENT_CHECK(fits, data, "{}: {} where an operator, a layer or a count stands; expected -1 to {}", source,
                  shown(j), kMost);
    return j.get<int>();
}

const json& list(const json& j, const char* what, const std::string& source) {
    NASCENT_CHECK(j.is_array(), data, "{}: {} is no list", source, what);
    return j;
}

void check_layer(const std::vector<int>& left, const std::vector<int>& whole, std::size_t layer,
                 const std::string& source) {
    NASCENT_CHECK(!left.empty(), data, "{}: layer {} has no operator", source, layer);
    auto from = whole.begin();
    for (int op : left) {
        from = std::find(from, whole.end(), op);
        NASCENT_CHECK(from != whole.end(), data,
                      "{}: layer {}: operator {} is not one of the space's, or there twice or out of order", source,
                      layer, op);
        ++from;
    }
}

}  // namespace

std::string shrunk_space_json(std::string_view space, const ShrinkState& state) {
    json stages = json::array();
    for (const ShrinkState::Stage& s : state.stages) {
        std::map<LayerOperator, const OperatorScore*> scores;
        for (const OperatorScore& o : s.scores) scores[o.which] = &o;
        json dropped = json::array();
        for (LayerOperator d : s.dropped) {
            const auto found = scores.find(d);
            const OperatorScore none{};
            const OperatorScore& of = found == scores.end() ? none : *found->second;
            dropped.push_back({d.layer, d.op, of.score, of.count});
        }
        stages.push_back({{"dropped", dropped}, {"base_replaced", s.base_replaced}});
    }
    return nlohmann::ordered_json{
               {"format", kFormat},         {"version", 1},    {"space", space}, {"size", space_size(state.operators)},
               {"layers", state.operators}, {"stages", stages}}
               .dump() +
           "\n";
}

ShrinkState read_shrunk_space(std::string_view text, const std::string& source, std::string_view space,
                              const OperatorLists& full) {
    try {
        const json j = json::parse(text);
        NASCENT_CHECK(j.is_object() && j.value("format", "") == kFormat, data, "{}: expected \"format\": \"{}\"",
                      source, kFormat);
        NASCENT_CHECK(j.at("version").is_number_integer() && j.at("version") == 1, data,
                      "{}: version {}; this program reads 1", source, shown(j.at("version")));
        const auto name = j.at("space").get<std::string>();
        NASCENT_CHECK(name == space, data, "{}: a part of the space '{}', not of '{}'", source, name.substr(0, 100),
                      space);
        ShrinkState state;
        for (const json& layer : list(j.at("layers"), "layers", source)) {
            NASCENT_CHECK(state.operators.size() < full.size(), data, "{}: more than the space's {} layers", source,
                          full.size());
            std::vector<int> ops;
            for (const json& op : list(layer, "a layer", source)) {
                NASCENT_CHECK(ops.size() < 256, data, "{}: layer {} has more than 256 operators", source,
                              state.operators.size());
                ops.push_back(integer(op, source));
            }
            check_layer(ops, full[state.operators.size()], state.operators.size(), source);
            state.operators.push_back(std::move(ops));
        }
        NASCENT_CHECK(state.operators.size() == full.size(), data, "{}: {} layers; the space has {}", source,
                      state.operators.size(), full.size());
        OperatorLists replayed = full;
        for (const json& s : list(j.at("stages"), "stages", source)) {
            ShrinkState::Stage stage;
            stage.base_replaced = s.at("base_replaced").get<bool>();
            for (const json& d : list(s.at("dropped"), "dropped", source)) {
                const LayerOperator which{integer(d.at(0), source), integer(d.at(1), source)};
                const bool inside = which.layer >= 0 && static_cast<std::size_t>(which.layer) < replayed.size();
                NASCENT_CHECK(inside && std::erase(replayed[static_cast<std::size_t>(which.layer)], which.op) == 1,
                              data, "{}: stage {} drops operator {} of layer {}, which is not there", source,
                              state.stages.size(), which.op, which.layer);
                stage.dropped.push_back(which);
                stage.scores.push_back({which, d.at(2).get<double>(), integer(d.at(3), source)});
            }
            state.stages.push_back(std::move(stage));
        }
        NASCENT_CHECK(state.stages.empty() || replayed == state.operators, data,
                      "{}: the drops of its stages do not lead to its layers", source);
        return state;
    } catch (const json::exception& e) {
        fail(ErrorKind::data, "{}: expected a shrunk space as JSON: {}", source, e.what());
    }
}

OperatorLists operators_left(const std::string& file, std::string_view space, const OperatorLists& full) {
    if (file.empty()) return full;
    return read_shrunk_space(read_file(file), file, space, full).operators;
}

}  // namespace nascent
