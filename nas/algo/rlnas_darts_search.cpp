// The second half of an RLNAS run on the DARTS space: from two states to a code, and to files about it.
#include <cstdlib>
#include <filesystem>

#include "engine/io/atomic_file.h"
#include "nas/algo/darts_shrink.h"
#include "nas/algo/kept_search.h"
#include "nas/algo/rlnas_darts.h"
#include "nas/algo/rlnas_search.h"
#include "nas/algo/rlnas_shrink.h"
#include "nas/algo/rlnas_space.h"
#include "nas/algo/shrink_json.h"
#include "nas/run/interrupt.h"
#include "nas/space/darts_drawing.h"
#include "nas/supernet/darts_state_dict.h"

namespace nascent {
namespace {

constexpr int kCompared = 200;

int input_size(const StateDict& state, const std::string& source) {
    const auto found = state.metadata().find("input_size");
    const int size = found == state.metadata().end() ? 0 : std::atoi(found->second.c_str());
    NASCENT_CHECK(size >= 1 && size <= 4096, checkpoint, "{}: says nothing of the pictures' size (input_size)", source);
    return size;
}

std::string rules_of(const RlnasConfig& config, const darts::NetConfig& net) {
    if (config.angle.rules != "auto") return config.angle.rules;
    return net.stem == darts::Stem::cifar ? "rlnas-cifar10" : "rlnas-imagenet";
}

}  // namespace

std::vector<darts::Code> compared_codes(std::uint64_t seed, int count, const darts::EdgeOperators& operators) {
    const bool whole = operators == darts::all_operators();
    std::vector<darts::Code> codes;
    for (int i = 0; i < count; i++)
        codes.push_back(whole ? darts::training_path(seed, i) : darts::training_path(seed, i, operators));
    return codes;
}

DartsSearchResult search_darts_states(const RlnasConfig& config, const std::string& initial_file,
                                      const std::string& trained_file, bool resumable, RunDirectory* directory) {
    const StateDict initial = StateDict::read(initial_file), trained = StateDict::read(trained_file);
    const darts::Net net = darts_supernet(trained, input_size(trained, trained_file), trained_file);
    const darts::AngleParts parts = angle_parts(net, initial, trained, initial_file, trained_file);
    DartsSearchResult result;
    result.net = net.config;
    if (const auto at = trained.metadata().find("device"); at != trained.metadata().end()) result.device = at->second;
    result.rules = rules_of(config, net.config);
    const darts::Angle angle(parts, darts::angle_switches(result.rules));

    KeptSearch kept(config, resumable ? directory : nullptr);
    using Method = AngleSearchRequest::Method;
    const std::string& method = config.search.method;
    AngleSearchRequest request;
    request.method = method == "evolution" ? Method::evolution : method == "exact" ? Method::exact : Method::both;
    request.evolution = evolution_config(config.search);
    request.seed = static_cast<std::uint32_t>(config.search.seed);
    request.max_cost = config.search.max_flops;
    request.state = kept.read();
    request.each = [&](const EvolutionState& s) { kept.after(s); };
    request.stop = InterruptGuard::requested;
    DartsGenes::Rules rules;
    rules.mutate_to_none = config.search.mutate_none;
    rules.mutate_reduction = config.search.mutate_reduction;
    const darts::EdgeOperators operators = operators_left(config.net.shrunk, "darts", darts::all_operators());
    result.search =
        search_darts(angle, darts::code_costs(net.config, darts::MacConvention::thop), request, rules, operators);
    const std::vector<darts::Code> codes = compared_codes(request.seed, kCompared, operators);
    result.switches = compare_switches(parts, codes, angle.switches(), result.rules);
    if (directory) write_result(result, directory->path());
    return result;
}

std::string to_json(const DartsSearchResult& r) {
    JsonObject all;
    all.add("space", "darts").add("rules", r.rules).add("channels", r.net.channels).add("layers", r.net.layers);
    if (!r.device.empty()) all.add("device", r.device);
    const JsonObject search =
        to_json(r.search, [&](const AngleSearch::Candidate& c) { return describe_darts(c, r.net); });
    all.add("genotype", darts::to_string(darts::to_genotype(darts::code_from(r.search.winner().genes))));
    all.add("search", search).add("switches", to_json(r.switches));
    return all.text();
}

std::string to_text(const DartsSearchResult& r) {
    std::string text = to_text(r.search, [](const AngleSearch::Candidate& c) {
        const darts::Code code = darts::code_from(c.genes);
        return darts::to_string(code) + "\n  " + darts::to_string(darts::to_genotype(code));
    });
    if (!r.device.empty()) text += fmt::format("trained on {}\n", r.device);
    return text + fmt::format("switches of the angle, on {} random codes:\n{}", kCompared, to_text(r.switches));
}

void write_result(const DartsSearchResult& r, const std::string& folder) {
    const darts::Genotype genotype = darts::to_genotype(darts::code_from(r.search.winner().genes));
    const std::string to = folder + "/export";
    std::error_code error;
    std::filesystem::create_directories(to, error);
    NASCENT_CHECK(!error, runtime, "{}: cannot make the folder: {}", to, error.message());
    for (bool reduction : {false, true}) {
        const auto& genes = reduction ? genotype.reduce : genotype.normal;
        const auto& concat = reduction ? genotype.reduce_concat : genotype.normal_concat;
        const std::string name = to + (reduction ? "/reduction" : "/normal");
        write_file_atomic(name + ".dot", darts::to_dot(genes, concat));
        write_file_atomic(name + ".svg", darts::to_svg(genes, concat));
    }
    write_file_atomic(to + "/switches.txt", to_text(r.switches));
    write_file_atomic(folder + "/arch.json", to_json(r) + "\n");  // last: a finished run has it
}

namespace {

class DartsSpace final : public RlnasSpace {
  public:
    void train(const RlnasConfig& config, RunDirectory& directory) const override {
        if (config.run.until == "shrink")
            DartsShrinkRun(config, directory).train();
        else
            DartsRlnasRun(config, directory).train();
    }
    RlnasReport shrunk(const RlnasConfig& config, RunDirectory& directory) const override {
        const std::string path = directory.export_folder() + "/shrunk_space.json";
        const ShrinkState state = read_shrunk_space(read_file(path), path, config.space, darts::all_operators());
        const ShrinkResult result = shrink_result(config.space, state, "angle", {});
        return {to_text(result), to_json(result), "shrunk_space.json"};
    }
    RlnasReport angles(const RlnasConfig& config, const std::string& initial_file, const std::string& trained_file,
                       int count) const override {
        const StateDict initial = StateDict::read(initial_file), trained = StateDict::read(trained_file);
        const darts::Net net = darts_supernet(trained, input_size(trained, trained_file), trained_file);
        const darts::AngleParts parts = angle_parts(net, initial, trained, initial_file, trained_file);
        const std::string rules = rules_of(config, net.config);
        std::vector<darts::Code> codes =
            compared_codes(static_cast<std::uint64_t>(config.run.seed), count,
                           operators_left(config.net.shrunk, "darts", darts::all_operators()));
        if (rules == "anglenas")  // knows one cell alone
            for (darts::Code& c : codes) c.reduce = c.normal;
        const AngleComparison all = compare_switches(parts, codes, darts::angle_switches(rules), rules);
        std::vector<JsonObject> rows;
        for (std::size_t i = 0; i < codes.size(); i++)
            rows.push_back(
                JsonObject().add("code", darts::to_string(codes[i])).add("angle", all.variants[0].angles[i]));
        JsonObject json;
        json.add("space", "darts").add("rules", rules).add("angles", rows).add("switches", to_json(all));
        return {fmt::format("{} random codes\n{}\n{}", codes.size(), to_text(all), tau_text(all)), json.text(), ""};
    }
    RlnasReport search(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                       bool resumable, RunDirectory* directory) const override {
        const DartsSearchResult result = search_darts_states(config, initial, trained, resumable, directory);
        return {to_text(result), to_json(result), "normal.svg, reduction.svg, switches.txt",
                [=](const std::string& folder) { write_result(result, folder); }};
    }
};

}  // namespace

const RlnasSpace& rlnas_darts() {
    static const DartsSpace space;
    return space;
}

}  // namespace nascent
