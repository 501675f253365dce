#include "apps/darts_search/commands.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "nas/algo/sampled_range.h"
#include "nas/metric/cost.h"
#include "nas/metric/darts_cost.h"
#include "nas/run/interrupt.h"
#include "nas/run/program.h"
#include "nas/run/training_loop.h"
#include "nas/space/darts_genotypes.h"

namespace nascent::darts_search {
namespace {

namespace fs = std::filesystem;

void report(const RunDirectory& directory, bool json) {
    const std::string arch = read_file(directory.arch_path());
    if (json) return print(arch);
    print(result_text(arch, directory.arch_path()));
    print(
        fmt::format("the run is in {0}\n  {0}/arch.json, {0}/events.jsonl, {0}/log.txt, {0}/run.toml\n  {0}/export: "
                    "cells (svg, dot), alphas.svg{1}, alphas.json, final.safetensors\n",
                    directory.path(), fs::exists(directory.path() + "/export/range.svg") ? ", range.svg" : ""));
}

void work(const SearchConfig& config, RunDirectory& directory, bool json) {
    InterruptGuard interrupts;
    // A finished search needs its data no more.
    if (!fs::exists(directory.arch_path())) SearchRun(config, directory).search();
    report(directory, json);
}

/// The alphas that a path holds, and after how many epochs (-1: a file does not say).
struct Found {
    SpaceAlphas given;
    int epoch = -1;
};
Found newest_alphas(const std::string& path) {
    if (!fs::is_directory(path)) {
        NASCENT_CHECK(fs::exists(path), usage, "{}: no run and no file of alphas", path);
        return {alphas_from_json(read_file(path), path), -1};
    }
    AlphaHistory history = alpha_history(path);
    AlphaMoment& last = history.moments.back();
    return {{history.space, std::move(last.alphas)}, last.epoch};
}

std::vector<std::string> write_all(const std::vector<SearchSpace::File>& files, const std::string& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    NASCENT_CHECK(!error, runtime, "{}: cannot make the folder: {}", folder, error.message());
    std::vector<std::string> paths;
    for (const SearchSpace::File& f : files) {
        paths.push_back(folder + "/" + f.name);
        write_file_atomic(paths.back(), f.content);
    }
    return paths;
}

}  // namespace

void run(SearchConfig config, bool json) {
    check(config);
    make_absolute(config.data, config.run, "darts_search");
    config.search.table = absolute_path(config.search.table);
    RunDirectory directory = RunDirectory::create(config.run.out, search_options(config).to_toml());
    work_in(directory, true, [&] { work(config, directory, json); });
}

void resume(const std::string& path, const std::function<void(SearchConfig&)>& change, bool json) {
    SearchConfig config;
    NASCENT_CHECK(fs::exists(path + "/run.toml"), usage, "{}: no run, there is no run.toml in it", path);
    search_options(config).read_toml(path + "/run.toml");
    change(config);
    RunDirectory directory = RunDirectory::open(path);
    work_in(directory, false, [&] { work(config, directory, json); });
}

void derive(const std::string& run_or_file, bool json) {
    const Found found = newest_alphas(run_or_file);
    const SearchSpace& space = *found.given.space;
    const SearchSpace::Derived d = space.derive(found.given.alphas);
    JsonObject all;
    all.add("space", space.name()).add("genotype", d.text).add("skips", d.skips);
    all.add("collapsed", d.skips >= space.collapse_skips());
    if (found.epoch >= 0) all.add("epoch", found.epoch);
    print(json ? all.text() + "\n" : fmt::format("{}\n", d.text));
}

void show(const std::string& run_or_text, const std::string& space_name, const std::string& out, bool json) {
    std::vector<std::string> paths;
    if (fs::is_directory(run_or_text)) {
        const AlphaHistory history = alpha_history(run_or_text);
        const SearchSpace& space = *history.space;
        std::vector<SearchSpace::File> files = space.drawings(space.derive(history.moments.back().alphas).text);
        std::vector<Alphas> all;
        for (const AlphaMoment& m : history.moments) all.push_back(m.alphas);
        files.push_back({"alphas.svg", alpha_strip(space, all)});
        const RangeHistory ranges = range_history(run_or_text);
        if (!ranges.moments.empty()) files.push_back({"range.svg", range_plot(ranges)});
        paths = write_all(files, out.empty() ? run_or_text + "/export" : out);
    } else {
        const SearchSpace& space = search_space(space_name);
        const std::string text = space_name == "darts" ? to_string(darts::genotype_from(run_or_text)) : run_or_text;
        paths = write_all(space.drawings(text), out.empty() ? "." : out);
    }
    if (json) return print(JsonObject().add("files", paths).text() + "\n");
    for (const std::string& p : paths) print(p + "\n");
}

void cost(const CostRequest& r) {
    if (r.space == "nasbench201") {
        NASCENT_CHECK(!r.auxiliary && r.layers == 0, usage,
                      "--auxiliary and --layers are of the space darts; a network of nasbench201 has 15 cells");
        nb201::NetConfig config;
        if (r.channels > 0) config.channels = r.channels;
        if (r.size > 0) config.input_size = r.size;
        if (r.classes > 0) config.classes = r.classes;
        const nb201::Architecture arch = nb201::parse_architecture(r.text);
        return print(cost_json(arch, cost_of(config, arch)).text() + "\n");
    }
    (void)search_space(r.space);  // throws with the nearest name
    darts::NetConfig config = darts::evaluation_config(r.data);
    if (r.channels > 0) config.channels = r.channels;
    if (r.layers > 0) config.layers = r.layers;
    if (r.size > 0) config.input_size = r.size;
    if (r.classes > 0) config.classes = r.classes;
    config.auxiliary = r.auxiliary;
    const darts::Genotype genotype = darts::genotype_from(r.text);
    const darts::Cost c = darts::cost_of(darts::evaluation_net(config, genotype));
    JsonObject all;
    all.add("space", r.space).add("genotype", to_string(genotype)).add("data", r.data);
    all.add("channels", config.channels).add("layers", config.layers).add("size", config.input_size);
    all.add("classes", config.classes).add("params", c.params);
    if (r.auxiliary)
        all.add("auxiliary_params", c.auxiliary_params)
            .add("params_with_auxiliary", c.params + c.auxiliary_params)
            .add("auxiliary_macs", c.auxiliary_macs);
    all.add("macs", darts::macs_json(c)).add("depthwise_macs", c.depthwise_macs).add("batch_norms", c.batch_norms);
    print(all.text() + "\n");
}

}  // namespace nascent::darts_search
