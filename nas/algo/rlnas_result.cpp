// The second half of an RLNAS run: from two states to an architecture, and to files about it.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine/io/atomic_file.h"
#include "nas/algo/evolution_json.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/shrink_json.h"
#include "nas/metric/cost.h"
#include "nas/run/interrupt.h"
#include "nas/space/nasbench201_drawing.h"
#include "nas/supernet/angle_table.h"

namespace nascent {
namespace {

std::string search_state_path(const RunDirectory& d) { return d.path() + "/ckpt/search.json"; }

Found evolve(const Nb201Angle& angle, const OperatorLists& operators, const SearchRequest& request, int classes,
             RunDirectory* directory) {
    const EvolutionConfig config = evolution_config(request.config.search);
    std::optional<EvolutionState> state;
    const std::string path = directory && request.resumable ? search_state_path(*directory) : "";
    if (!path.empty() && std::filesystem::exists(path)) {
        state = evolution_from_json(read_file(path), path);
        directory->log().line(fmt::format("the search goes on from generation {}", state->generation));
    }
    auto saved = std::chrono::steady_clock::now();
    auto save = [&](const EvolutionState& s) {
        if (!path.empty()) write_file_atomic(path, evolution_to_json(s));
        saved = std::chrono::steady_clock::now();
    };
    return search_evolution(
        angle, operators, config, static_cast<std::uint32_t>(request.config.search.seed), classes, state,
        [&](const EvolutionState& s) {
            const bool stop = InterruptGuard::requested();
            const int every = request.config.run.checkpoint_steps;
            const bool due = every > 0 && s.generation % every == 0;
            const std::chrono::duration<double> since = std::chrono::steady_clock::now() - saved;
            if (stop || due || s.generation == config.generations ||
                since.count() >= request.config.run.checkpoint_seconds)
                save(s);
            if (stop)
                fail(ErrorKind::interrupted, "stopped after generation {} of {}{}", s.generation, config.generations,
                     path.empty() ? "" : "; go on with: rlnas resume " + directory->path());
        },
        InterruptGuard::requested);
}

/// The space's architectures by angle, the best first.
std::string angles_csv(const std::vector<double>& angles) {
    std::string text = "index,arch,angle\n";
    for (int id : rank_descending(angles)) {
        if (std::isnan(angles[static_cast<std::size_t>(id)])) break;  // not in the space, as all behind it
        const auto arch = nb201::Architecture::from_id(id);
        text += fmt::format("{},{},{}\n", nb201::official_index(arch), nb201::to_string(arch),
                            json_number(angles[static_cast<std::size_t>(id)]));
    }
    return text;
}

JsonObject found_json(const Found& f) {
    return JsonObject()
        .add("method", f.method)
        .add("arch", nb201::to_string(f.arch))
        .add("tuple", nb201::to_tuple(f.arch))
        .add("index", nb201::official_index(f.arch))
        .add("angle", f.angle)
        .add("scored", f.scored);
}

std::optional<nb201::NetConfig> net_of(const SupernetShape& shape, const StateDict& state) {
    const auto said = state.metadata().find("input_size");  // not in the tensors
    if (said == state.metadata().end()) return std::nullopt;
    nb201::NetConfig net = shape.config;
    net.input_size = std::atoi(said->second.c_str());
    if (net.input_size < 1 || net.input_size > 8192) return std::nullopt;
    return net;
}

}  // namespace

SearchResult search_states(const SearchRequest& request, RunDirectory* directory) {
    const StateDict initial = StateDict::read(request.initial), trained = StateDict::read(request.trained);
    const SupernetShape shape = supernet_shape(initial, request.initial);
    const SupernetShape other = supernet_shape(trained, request.trained);
    NASCENT_CHECK(shape.config == other.config && shape.style == other.style, checkpoint,
                  "{} and {} are not two states of one network", request.initial, request.trained);
    const Nb201Angle angle(angle_table(shape, initial, trained, request.initial, request.trained),
                           angle_rules(request.config.angle));
    SearchResult result;
    result.classes = shape.config.classes;
    result.net = net_of(shape, trained);
    if (const auto at = trained.metadata().find("device"); at != trained.metadata().end()) result.device = at->second;
    const OperatorLists operators = operators_left(request.config.net.shrunk, "nasbench201", nb201_operators());
    result.angles = angles_within(angle, operators);
    const std::string& method = request.config.search.method;
    if (method != "exhaustive") result.found.push_back(evolve(angle, operators, request, result.classes, directory));
    if (method != "evolution") result.found.push_back(search_exhaustive(result.angles));
    if (!request.config.search.table.empty()) {
        auto say = [&](const std::string& text) {
            if (!directory)
                std::fprintf(stderr, "%s\n", text.c_str());
            else if (request.resumable)
                directory->log().line(text);  // it was said before the training
            else
                directory->log().say(text);
        };
        const BenchmarkTable table = BenchmarkTable::read(request.config.search.table);
        const std::string column = chosen_column(table, request.config.search.table_column, result.classes, say);
        result.judgement = judge(table, column, result.angles, result.found.front().arch);
    }
    if (directory) write_result(result, request.config, directory->path());
    return result;
}

void write_result(const SearchResult& result, const RlnasConfig& config, const std::string& folder) {
    const nb201::Architecture& arch = result.found.front().arch;
    const std::string to = folder + "/export";
    std::error_code error;
    std::filesystem::create_directories(to, error);
    NASCENT_CHECK(!error, runtime, "{}: cannot make the folder: {}", to, error.message());
    write_file_atomic(to + "/cell.dot", nb201::to_dot(arch));
    write_file_atomic(to + "/cell.svg", nb201::to_svg(arch));
    write_file_atomic(to + "/angles.csv", angles_csv(result.angles));
    write_file_atomic(folder + "/arch.json", to_json(result, config) + "\n");  // last: a finished run has it
}

std::string to_json(const SearchResult& result, const RlnasConfig& config) {
    const Found& first = result.found.front();
    nb201::NetConfig net;
    net.classes = result.classes;
    net.input_size = result.classes == 120 ? 16 : 32;  // as the benchmark trained them
    const Cost cost = cost_of(net, first.arch);
    JsonObject all = found_json(first);
    all.add("space", config.space)
        .add("classes", result.classes)
        .add("params", cost.params)
        .add("macs", macs_json(cost));
    if (result.net) {
        const Cost own = cost_of(*result.net, first.arch);
        all.add("net", JsonObject()
                           .add("channels", result.net->channels)
                           .add("cells", result.net->cells_per_stage)
                           .add("size", result.net->input_size)
                           .add("params", own.params)
                           .add("macs", macs_json(own)));
    }
    if (!result.device.empty()) all.add("device", result.device);
    std::vector<JsonObject> searches;
    for (const Found& f : result.found) searches.push_back(found_json(f));
    all.add("searches", searches);
    if (result.judgement) all.add("table", to_json(*result.judgement));
    return all.text();
}

std::string to_text(const SearchResult& result) {
    std::string text;
    for (const Found& f : result.found)
        text +=
            fmt::format("{} over {} architectures found\n  {}\n  index {} in the benchmark's order, angle {:.6f} rad\n",
                        f.method, f.scored, nb201::to_string(f.arch), nb201::official_index(f.arch), f.angle);
    if (!result.device.empty()) text += fmt::format("trained on {}\n", result.device);
    if (result.judgement) text += to_text(*result.judgement);
    return text;
}

}  // namespace nascent
