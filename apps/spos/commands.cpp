#include "apps/spos/commands.h"

#include <filesystem>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "nas/metric/chain_cost.h"
#include "nas/run/program.h"
#include "nas/space/chain_published.h"

namespace nascent::spos {
namespace {

namespace fs = std::filesystem;

/// Only what is a file by its looks: an architecture is never taken for one.
bool is_file(const std::string& text) {
    std::error_code error;
    return text.size() < 4096 && fs::is_regular_file(text, error) && !error;
}

chain::Architecture read_architecture(const chain::Space& space, const std::string& text) {
    const bool looks_like_file = text.ends_with(".yaml") || text.ends_with(".yml") || text.ends_with(".json");
    if (!is_file(text)) {
        NASCENT_CHECK(!looks_like_file, data, "{}: no such file", text);
        return chain::architecture_from(space, text);
    }
    Scope scope("{}", text);
    return chain::architecture_from(space, read_file(text));
}

}  // namespace

void cost(const CostRequest& r) {
    chain::Config config;
    if (r.size > 0) config.input_size = r.size;
    if (r.classes > 0) config.classes = r.classes;
    const chain::Space space = chain::space(r.space, config);
    print(chain::cost_json(space, read_architecture(space, r.arch)).text() + "\n");
}

void list(const std::string& name) {
    if (!name.empty()) (void)chain::space(name);  // throws with the nearest name
    for (std::string_view space_name : chain::kSpaces) {
        if (!name.empty() && space_name != name) continue;
        const chain::Space space = chain::space(space_name);
        for (const chain::Published& p : chain::published_architectures()) {
            if (!chain::in_space(p, space)) continue;
            JsonObject line = chain::cost_json(space, chain::published_architecture(space, p.name));
            if (!p.also.empty()) line.add("also", p.also);
            print(line.add("origin", p.origin).text() + "\n");
        }
    }
}

}  // namespace nascent::spos
