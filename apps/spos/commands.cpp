#include "apps/spos/commands.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "nas/data/pack_write.h"
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

void pack(const PackRequest& r) {
    PackOptions o;
    o.settings.geometry = r.geometry == "square"     ? PackGeometry::square
                          : r.geometry == "original" ? PackGeometry::original
                                                     : PackGeometry::shorter_side;
    o.settings.side = r.geometry == "original" ? 0 : r.side;
    o.settings.resize = r.resize == "opencv" ? Resampling::opencv : Resampling::pillow;
    o.settings.orientation = r.orientation;
    o.skip_corrupt = r.skip_corrupt;
    o.threads = r.threads;
    auto said = std::chrono::steady_clock::now();
    o.progress = [&](std::size_t done, std::size_t total) {
        const auto now = std::chrono::steady_clock::now();
        if (now - said < std::chrono::seconds(5)) return;
        said = now;
        fmt::print(stderr, "{} of {} pictures\n", done, total);
    };
    for (const PackSplit& split : pack_data_set(r.root, r.out, o))
        print(JsonObject()
                  .add("split", split.split)
                  .add("path", split.path)
                  .add("pictures", static_cast<std::int64_t>(split.pictures))
                  .add("bytes", static_cast<std::int64_t>(split.bytes))
                  .add("skipped", split.skipped)
                  .add("kept", split.kept)
                  .text() +
              "\n");
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
