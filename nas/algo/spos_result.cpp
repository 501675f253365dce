// What a search on a supernet leaves for people.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "nas/algo/shrink.h"
#include "nas/algo/spos_search.h"
#include "nas/space/chain_drawing.h"

namespace nascent {
namespace {

std::string_view name_of(EvolutionState::Origin origin) {
    using Origin = EvolutionState::Origin;
    return origin == Origin::random ? "random" : origin == Origin::mutation ? "mutation" : "crossover";
}

}  // namespace

std::vector<int> SposSearch::ranked() const {
    std::vector<int> places;
    for (std::size_t i = 0; i < scored_.size(); i++)
        if (scored_[i].pictures > 0) places.push_back(static_cast<int>(i));
    std::stable_sort(places.begin(), places.end(), [&](int a, int b) {
        return key(scored_[static_cast<std::size_t>(a)]) > key(scored_[static_cast<std::size_t>(b)]);
    });
    return places;
}

JsonObject SposSearch::policy() const {
    const SposSearchOptions& o = in_.options;
    JsonObject all;
    all.add("norms", o.norms);
    if (o.norms == "exact" || o.norms == "ema")
        all.add("calibration", in_.calibration->count())
            .add("calibration_batch", o.calibration_batch)
            .add("calibration_views", o.calibration_views);
    return all.add("evaluation", o.evaluation).add("batch", o.batch);
}

JsonObject SposSearch::described(int place) const {
    const Candidate& c = evolution_->state().visited[static_cast<std::size_t>(place)];
    const Score& s = scored_[static_cast<std::size_t>(place)];
    const chain::Architecture arch = genes_.architecture(c.genes);
    JsonObject all;
    all.add("arch", chain::to_string(arch)).add("accuracy", s.accuracy()).add("accuracy5", s.accuracy5());
    all.add("loss", s.mean_loss()).add("pictures", s.pictures).add("norms", in_.options.norms);
    const chain::Cost cost = chain::cost_of(chain::subnet(in_.net.space(), arch).layers);
    all.add("params", cost.params).add("macs", chain::macs_json(cost));
    if (const auto latency = in_.limits.latency_of(in_.net.space(), arch)) all.add("latency_ns", *latency);
    return all.add("generation", c.generation + 1).add("origin", name_of(c.origin));
}

std::string SposSearch::candidates_csv() const {
    const chain::Space& space = in_.net.space();
    std::string text =
        "rank,accuracy,accuracy5,loss,pictures,norms,params,macs_mac,macs_thop,macs_mmrazor,latency_ns,"
        "generation,origin,arch\n";
    int rank = 0;
    for (int place : ranked()) {
        const Candidate& c = evolution_->state().visited[static_cast<std::size_t>(place)];
        const Score& s = scored_[static_cast<std::size_t>(place)];
        const chain::Architecture arch = genes_.architecture(c.genes);
        const chain::Cost cost = chain::cost_of(chain::subnet(space, arch).layers);
        const auto latency = in_.limits.latency_of(space, arch);
        text += fmt::format("{},{:.4f},{:.4f},{:.6f},{},{},{},{},{},{},{},{},{},\"{}\"\n", ++rank, s.accuracy(),
                            s.accuracy5(), s.mean_loss(), s.pictures, in_.options.norms, cost.params,
                            cost.macs(chain::MacConvention::mac), cost.macs(chain::MacConvention::thop),
                            cost.macs(chain::MacConvention::mmrazor), latency ? std::to_string(*latency) : "",
                            c.generation + 1, name_of(c.origin), chain::to_string(arch));
    }
    return text;
}

JsonObject SposSearch::result() const {
    const chain::Space& space = in_.net.space();
    const std::vector<int> places = ranked();
    const chain::Architecture arch =
        genes_.architecture(evolution_->state().visited[static_cast<std::size_t>(places.at(0))].genes);
    const Score& s = scored_[static_cast<std::size_t>(places[0])];
    JsonObject all = chain::cost_json(space, arch);
    all.add("ops", arch.ops);
    if (!arch.scales.empty()) all.add("scales", arch.scales);
    JsonObject modules;  // MMRazor's notation
    for (const chain::Block& b : space.blocks)
        modules.add(space.module_name(b), space.op(arch.ops[static_cast<std::size_t>(b.index)]).name);
    if (arch.scales.empty()) all.add("modules", modules);
    JsonObject score;
    score.add("accuracy", s.accuracy()).add("accuracy5", s.accuracy5()).add("loss", s.mean_loss());
    score.add("pictures", s.pictures).add("of", in_.pictures).add("policy", policy());
    all.add("score", score);
    if (in_.operators != chain::all_operators(space)) all.add("space_left", space_size(in_.operators));
    if (!in_.limits.text.empty()) all.add("limits", in_.limits.text);
    if (const auto latency = in_.limits.latency_of(space, arch))
        all.add("latency", JsonObject()
                               .add("nanoseconds", *latency)
                               .add("device", in_.limits.latency->device)
                               .add("batch", in_.limits.latency->batch));
    all.add("generations", evolution_->state().generation).add("scored", places.size()).add("device", in_.target);
    std::vector<JsonObject> top;
    for (std::size_t i = 0; i < std::min(places.size(), static_cast<std::size_t>(in_.options.top)); i++)
        top.push_back(described(places[i]));
    return all.add("top", top);
}

void SposSearch::write_result() const {
    const chain::Space& space = in_.net.space();
    const std::string to = directory_.export_folder();
    std::error_code error;
    std::filesystem::create_directories(to, error);
    NASCENT_CHECK(!error, runtime, "{}: cannot make the folder: {}", to, error.message());
    const chain::Architecture arch =
        genes_.architecture(evolution_->state().visited[static_cast<std::size_t>(ranked().at(0))].genes);
    write_file_atomic(to + "/arch.svg", chain::to_svg(space, arch));
    if (arch.scales.empty()) write_file_atomic(to + "/arch.yaml", chain::to_yaml(space, arch));
    write_file_atomic(to + "/candidates.csv", candidates_csv());
    write_file_atomic(directory_.arch_path(), result().text() + "\n");  // last: a finished run has it
}

std::string spos_result_text(const std::string& arch_json, const std::string& source) {
    try {
        const auto r = nlohmann::json::parse(arch_json);
        const auto& score = r.at("score");
        std::string text = fmt::format(
            "{}\n  {:.2f} % (top-5 {:.2f} %) of {}, batch norms {}\n  {} parameters; MACs {} (mac), {} (thop), {} "
            "(mmrazor)\n",
            r.at("arch").get<std::string>(), score.at("accuracy").get<double>(), score.at("accuracy5").get<double>(),
            score.at("of").get<std::string>(), score.at("policy").at("norms").get<std::string>(),
            r.at("params").get<std::int64_t>(), r.at("macs").at("mac").get<std::int64_t>(),
            r.at("macs").at("thop").get<std::int64_t>(), r.at("macs").at("mmrazor").get<std::int64_t>());
        if (r.contains("limits")) text += fmt::format("  {}\n", r.at("limits").get<std::string>());
        if (r.contains("latency"))
            text += fmt::format(
                "  {:.3f} ms for a batch of {} on {}\n", r.at("latency").at("nanoseconds").get<double>() * 1e-6,
                r.at("latency").at("batch").get<int>(), r.at("latency").at("device").get<std::string>());
        return text + fmt::format("  the best of {} candidates in {} generations\n", r.at("scored").get<int>(),
                                  r.at("generations").get<int>());
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::data, "{}: {}", source, e.what());
    }
}

}  // namespace nascent
