#include "apps/rlnas/commands.h"

#include <fmt/chrono.h>

#include <cstdio>
#include <ctime>
#include <filesystem>

#include "nas/metric/cost.h"
#include "nas/run/interrupt.h"

namespace nascent::rlnas {
namespace {

namespace fs = std::filesystem;

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

/// Paths that the run's folder will be read with from anywhere.
void make_absolute(RlnasConfig& c) {
    const std::size_t colon = c.data.source.find(':');
    if (colon != std::string::npos && colon + 1 < c.data.source.size())
        c.data.source = c.data.source.substr(0, colon + 1) +
                        fs::absolute(c.data.source.substr(colon + 1)).lexically_normal().string();
    if (!c.search.table.empty()) c.search.table = fs::absolute(c.search.table).lexically_normal().string();
    c.run.out = fs::absolute(c.run.out).lexically_normal().string();
}

RlnasConfig read_config(const std::string& directory) {
    RlnasConfig config;
    const std::string path = directory + "/run.toml";
    NASCENT_CHECK(fs::exists(path), usage, "{}: no run, there is no run.toml in it", directory);
    rlnas_options(config).read_toml(path);
    return config;
}

void report(const SearchResult& result, const RlnasConfig& config, RunDirectory* directory, bool json) {
    if (json) return print(to_json(result, config) + "\n");
    print(to_text(result));
    if (!directory) return;
    const std::string& d = directory->path();
    print(fmt::format(
        "the run is in {}\n  {}\n  {}/export: cell.svg, cell.dot, angles.csv, init.safetensors, final.safetensors\n  "
        "{}/events.jsonl, {}/log.txt, {}/run.toml\n",
        d, directory->arch_path(), d, d, d, d));
}

void work(const RlnasConfig& config, RunDirectory& directory, bool json) {
    InterruptGuard interrupts;
    // A finished training needs its data no more.
    if (!fs::exists(trained_path(directory))) RlnasRun(config, directory).train();
    if (config.run.until == "train") {
        if (json)
            return print(JsonObject().add("run", directory.path()).add("trained", trained_path(directory)).text() +
                         "\n");
        return print(fmt::format("trained: {}\nsearch it with: rlnas search --run {}\n", trained_path(directory),
                                 directory.path()));
    }
    report(search_states({config, initial_path(directory), trained_path(directory), true}, &directory), config,
           &directory, json);
}

/// The states of a run whose training is over.
SearchRequest request_of(const std::string& directory, const RlnasConfig& config) {
    const std::string folder = directory + "/export/";
    NASCENT_CHECK(fs::exists(folder + "final.safetensors"), usage,
                  "{}: the training is not over; go on with: rlnas resume {}", directory, directory);
    return {config, folder + "init.safetensors", folder + "final.safetensors"};
}

}  // namespace

void run(RlnasConfig config, bool json) {
    if (config.run.out.empty())
        config.run.out = fmt::format("runs/rlnas-{:%Y%m%d-%H%M%S}", fmt::localtime(std::time(nullptr)));
    make_absolute(config);
    resolve(config, true);
    RunDirectory directory = RunDirectory::create(config.run.out, rlnas_options(config).to_toml());
    try {
        work(config, directory, json);
    } catch (const std::exception& e) {
        directory.log().line(e.what());
        // Before its first checkpoint a run holds nothing: a wrong path may be corrected under the same name.
        if (directory.checkpoints().steps().empty()) directory.discard();
        throw;
    }
}

void resume(const std::string& path, const std::function<void(RlnasConfig&)>& change, bool json) {
    RlnasConfig config = read_config(path);
    change(config);
    RunDirectory directory = RunDirectory::open(path);
    try {
        work(config, directory, json);
    } catch (const std::exception& e) {
        directory.log().line(e.what());
        throw;
    }
}

void search_run(const std::string& path, const std::function<void(RlnasConfig&)>& change, bool json) {
    RlnasConfig config = read_config(path);
    change(config);
    resolve(config, false);
    const SearchRequest request = request_of(path, config);
    RunDirectory directory = RunDirectory::open(path);
    InterruptGuard interrupts;
    report(search_states(request, &directory), config, &directory, json);
}

void search_files(const std::string& initial, const std::string& trained, const RlnasConfig& given, bool json) {
    RlnasConfig config = given;
    resolve(config, false);
    const std::string& out = config.run.out;
    NASCENT_CHECK(out.empty() || !fs::exists(out + "/run.toml"), usage,
                  "{}: holds a run; search its own states with --run {}, or choose another folder", out, out);
    InterruptGuard interrupts;
    const SearchResult result = search_states({config, initial, trained}, nullptr);
    if (!out.empty()) write_result(result, config, out);
    report(result, config, nullptr, json);
}

void rank(const std::string& path, const std::function<void(RlnasConfig&)>& change, bool json) {
    RlnasConfig config = read_config(path);
    change(config);
    resolve(config, false);
    NASCENT_CHECK(!config.search.table.empty(), usage, "no table to rank against: give --table FILE.csv");
    const SearchResult result = search_states(request_of(path, config), nullptr);
    print(json ? to_json(*result.judgement).text() + "\n" : to_text(*result.judgement));
}

void cost(const CostRequest& r, bool json) {
    NASCENT_CHECK(r.space == "nasbench201", usage, "unknown space '{}', did you mean nasbench201?", r.space);
    const nb201::Architecture arch = nb201::parse_architecture(r.arch);
    const Cost c = cost_of({r.classes, r.size, r.channels, r.cells}, arch);
    JsonObject macs;
    std::string text = fmt::format("{}\n  parameters {:>12}\n", nb201::to_string(arch), c.params);
    for (std::size_t i = 0; i < kCostConventions.size(); i++) {
        macs.add(kCostConventions[i], c.macs[i]);
        text += fmt::format("  MACs {:>6} {:>12}\n", kCostConventions[i], c.macs[i]);
    }
    const JsonObject all = JsonObject()
                               .add("space", r.space)
                               .add("arch", nb201::to_string(arch))
                               .add("params", c.params)
                               .add("macs", macs);
    print(json ? all.text() + "\n" : text);
}

}  // namespace nascent::rlnas
