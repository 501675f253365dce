// NAS-Bench-201 as one of RLNAS's spaces.
#include "engine/io/atomic_file.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_shrink.h"
#include "nas/algo/rlnas_space.h"
#include "nas/algo/shrink_json.h"
#include "nas/metric/angle_switches.h"
#include "nas/supernet/angle_table.h"

namespace nascent {
namespace {

class Nb201Space final : public RlnasSpace {
  public:
    void train(const RlnasConfig& config, RunDirectory& directory) const override {
        RlnasRun(config, directory).train();
    }
    RlnasReport search(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                       bool resumable, RunDirectory* directory) const override {
        const SearchResult result = search_states({config, initial, trained, resumable}, directory);
        return {to_text(result), to_json(result, config), "cell.svg, cell.dot, angles.csv",
                [=](const std::string& folder) { write_result(result, config, folder); }};
    }
    RlnasReport shrink(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                       const std::string& out) const override {
        const ShrinkResult result = shrink_states(config, initial, trained);
        if (!out.empty()) write_file_atomic(out, shrunk_space_json(config.space, result.state));
        return {to_text(result), to_json(result), "shrunk_space.json"};
    }
    RlnasReport angles(const RlnasConfig& config, const std::string& initial, const std::string& trained,
                       int) const override {
        const StateDict before = StateDict::read(initial), after = StateDict::read(trained);
        const AngleComparison all = compare_switches(
            angle_table(supernet_shape(after, trained), before, after, initial, trained), angle_rules(config.angle));
        return {fmt::format("all {} architectures\n{}\n{}", nb201::kArchitectures, to_text(all), tau_text(all)),
                JsonObject().add("space", config.space).add("switches", to_json(all)).text(), ""};
    }
};

}  // namespace

const RlnasSpace& rlnas_nasbench201() {
    static const Nb201Space space;
    return space;
}

}  // namespace nascent
