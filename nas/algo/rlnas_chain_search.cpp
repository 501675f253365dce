// The second half of an RLNAS run on a space of chains: from two states to an architecture, and to files about it.
#include <filesystem>

#include "engine/io/atomic_file.h"
#include "nas/algo/chain_draws.h"
#include "nas/algo/kept_search.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_chain.h"
#include "nas/algo/rlnas_search.h"
#include "nas/algo/rlnas_space.h"
#include "nas/algo/shrink_json.h"
#include "nas/run/interrupt.h"
#include "nas/space/chain_drawing.h"
#include "nas/space/chain_published.h"
#include "nas/supernet/chain_angle_table.h"

namespace nascent {
namespace {

constexpr int kCompared = 200;

chain::Architecture arch_of(const AngleSearch::Candidate& c) { return {c.genes, {}}; }

JsonObject described(const AngleSearch::Candidate& c, const chain::Space& space) {
    return chain::cost_json(space, arch_of(c)).add("angle", c.angle).add("cost", c.cost);
}

/// Two states of a supernet, and what of them counts.
struct States {
    chain::Net net;
    chain::AngleParts parts;
    chain::Space counted;  // whose FLOPs count
    OperatorLists operators;
    std::string rules, device;

    ChainAngleRules angle_rules() const {
        return rules == "rlnas" ? ChainAngleRules::rlnas() : ChainAngleRules::anglenas();
    }
    ChainTable table(const ChainAngleRules& r) const {
        return chain::angle_table(counted, parts, r, chain::MacConvention::thop, operators);
    }
    AngleComparison compare(const std::vector<std::vector<int>>& chains) const {
        return compare_switches([this](const ChainAngleRules& r) { return table(r); }, chains, angle_rules(), rules);
    }
    /// Uniform ones.
    std::vector<std::vector<int>> random_chains(std::int64_t seed, int count) const {
        ChainDraws draws = ChainDraws::counters(operators, static_cast<std::uint64_t>(seed));
        std::vector<std::vector<int>> all;
        for (int i = 0; i < count; i++) all.push_back(draws.path(i));
        return all;
    }
};

States read_states(const RlnasConfig& config, const std::string& initial_file, const std::string& trained_file) {
    const StateDict initial = StateDict::read(initial_file), trained = StateDict::read(trained_file);
    chain::Net net = chain_supernet(trained, trained_file);
    NASCENT_CHECK(net.space.name == config.space, checkpoint, "{}: a supernet of the space {}, not of {}", trained_file,
                  net.space.name, config.space);
    chain::AngleParts parts = angle_parts(net, initial, trained, initial_file, trained_file);
    chain::Config counted = net.space.config;
    counted.input_size = config.search.flops_size;
    States s{std::move(net), std::move(parts), chain::space(config.space, counted), {}, {}, {}};
    s.operators = operators_of(config, s.counted);
    s.rules = config.angle.rules == "auto" ? "rlnas" : config.angle.rules;
    if (const auto at = trained.metadata().find("device"); at != trained.metadata().end()) s.device = at->second;
    return s;
}

}  // namespace

ChainSearchResult search_chain_states(const RlnasConfig& config, const std::string& initial_file,
                                      const std::string& trained_file, bool resumable, RunDirectory* directory) {
    const States states = read_states(config, initial_file, trained_file);
    ChainSearchResult result;
    result.space = states.counted;
    result.trained_size = states.net.space.config.input_size;
    result.device = states.device;
    result.rules = states.rules;
    result.candidates = space_size(states.operators);
    const ChainAngle angle(states.table(states.angle_rules()));

    KeptSearch kept(config, resumable ? directory : nullptr);
    using Method = AngleSearchRequest::Method;
    const std::string& method = config.search.method;
    AngleSearchRequest request;
    request.method = method == "evolution" ? Method::evolution : method == "exact" ? Method::exact : Method::both;
    const EvolutionConfig published = mobilenet_evolution();
    request.evolution = evolution_config(config.search);
    request.evolution.duplicates = published.duplicates;
    request.evolution.first = published.first;
    request.evolution.tries = published.tries;
    request.seed = static_cast<std::uint32_t>(config.search.seed);
    request.max_cost = config.search.max_flops;
    request.state = kept.read();
    request.each = [&](const EvolutionState& s) { kept.after(s); };
    request.stop = InterruptGuard::requested;
    result.search = search_chain(angle, request);

    result.switches = states.compare(states.random_chains(config.run.seed, kCompared));
    if (directory) write_result(result, directory->path());
    return result;
}

std::string to_json(const ChainSearchResult& r) {
    JsonObject all;
    all.add("space", r.space.name).add("rules", r.rules).add("candidates", r.candidates);
    all.add("trained_size", r.trained_size).add("flops_size", r.space.config.input_size);
    if (!r.device.empty()) all.add("device", r.device);
    all.add("arch", chain::to_string(arch_of(r.search.winner())));
    all.add("search", to_json(r.search, [&](const AngleSearch::Candidate& c) { return described(c, r.space); }));
    return all.add("switches", to_json(r.switches)).text();
}

std::string to_text(const ChainSearchResult& r) {
    std::string text = to_text(r.search, [&](const AngleSearch::Candidate& c) {
        const std::string_view name = chain::published_name(r.space, arch_of(c));
        return chain::to_string(arch_of(c)) + (name.empty() ? "" : fmt::format(", known as {}", name));
    });
    const chain::Cost cost = chain::cost_of(chain::subnet(r.space, arch_of(r.search.winner())).layers);
    text += fmt::format("of the winner at {0} x {0}: {1} parameters, MACs {2}, thop {3}, MMRazor {4}\n",
                        r.space.config.input_size, cost.params, cost.macs(chain::MacConvention::mac),
                        cost.macs(chain::MacConvention::thop), cost.macs(chain::MacConvention::mmrazor));
    if (!r.device.empty()) text += fmt::format("trained on {}\n", r.device);
    return text + fmt::format("switches of the angle, on {} random chains:\n{}", kCompared, to_text(r.switches));
}

void write_result(const ChainSearchResult& r, const std::string& folder) {
    const std::string to = folder + "/export";
    std::error_code error;
    std::filesystem::create_directories(to, error);
    NASCENT_CHECK(!error, runtime, "{}: cannot make the folder: {}", to, error.message());
    write_file_atomic(to + "/architecture.svg", chain::to_svg(r.space, arch_of(r.search.winner())));
    write_file_atomic(to + "/switches.txt", to_text(r.switches));
    write_file_atomic(folder + "/arch.json", to_json(r) + "\n");  // last: a finished run has it
}

namespace {

class ChainSpace final : public RlnasSpace {
  public:
    void train(const RlnasConfig& config, RunDirectory& directory) const override {
        ChainRlnasRun(config, directory).train();
    }
    RlnasReport search(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                       bool resumable, RunDirectory* directory) const override {
        const ChainSearchResult result = search_chain_states(config, initial, trained, resumable, directory);
        return {to_text(result), to_json(result), "architecture.svg, switches.txt",
                [=](const std::string& folder) { write_result(result, folder); }};
    }
    RlnasReport angles(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                       int count) const override {
        const States states = read_states(config, initial, trained);
        const ChainAngle angle(states.table(states.angle_rules()));
        std::vector<JsonObject> rows;
        std::string text;
        const std::vector<std::vector<int>> chains = states.random_chains(config.run.seed, count);
        for (const auto& ops : chains) {
            rows.push_back(JsonObject().add("arch", chain::to_string({ops, {}})).add("angle", angle.angle(ops)));
            text += fmt::format("{:.9f} {}\n", angle.angle(ops), chain::to_string({ops, {}}));
        }
        JsonObject all;
        all.add("space", states.counted.name).add("rules", states.rules).add("angles", rows);
        if (count > 1) {
            const AngleComparison switches = states.compare(chains);
            all.add("switches", to_json(switches));
            text += to_text(switches);
        }
        return {text, all.text(), ""};
    }
    RlnasReport shrunk(const RlnasConfig& config, RunDirectory& directory) const override {
        const std::string file = directory.export_folder() + "/shrunk_space.json";
        const chain::Space space = chain::space(config.space);
        std::string json = read_file(file);
        const ShrinkState state = read_shrunk_space(json, file, space.name, operators_of(space));
        while (!json.empty() && json.back() == '\n') json.pop_back();
        return {shrunk_text(state, space), json, "shrunk_space.json"};
    }
};

}  // namespace

const RlnasSpace& rlnas_chains() {
    static const ChainSpace space;
    return space;
}

}  // namespace nascent
