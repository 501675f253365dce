#include "apps/rlnas/commands.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_space.h"
#include "nas/metric/cost.h"
#include "nas/run/interrupt.h"
#include "nas/run/program.h"
#include "nas/run/training_loop.h"

namespace nascent::rlnas {
namespace {

namespace fs = std::filesystem;

RlnasConfig read_config(const std::string& directory) {
    RlnasConfig config;
    const std::string path = directory + "/run.toml";
    NASCENT_CHECK(fs::exists(path), usage, "{}: no run, there is no run.toml in it", directory);
    rlnas_options(config).read_toml(path);
    return config;
}

void report(const RlnasReport& report, const RunDirectory* directory, bool json) {
    if (json) return print(report.json + "\n");
    print(report.text);
    if (!directory) return;
    const std::string& d = directory->path();
    print(fmt::format("the run is in {}\n", d));
    if (report.write) print(fmt::format("  {}\n", directory->arch_path()));
    print(fmt::format(
        "  {}/export: {}, init.safetensors, final.safetensors\n  {}/events.jsonl, {}/log.txt, {}/run.toml\n", d,
        report.files, d, d, d));
}

void work(const RlnasConfig& config, RunDirectory& directory, bool json) {
    InterruptGuard interrupts;
    const RlnasSpace& space = rlnas_space(config.space);
    // A finished training needs its data no more.
    if (!fs::exists(trained_path(directory))) space.train(config, directory);
    if (config.run.until == "shrink") return report(space.shrunk(config, directory), &directory, json);
    if (config.run.until == "train") {
        if (json)
            return print(JsonObject().add("run", directory.path()).add("trained", trained_path(directory)).text() +
                         "\n");
        return print(fmt::format("trained: {}\nsearch it with: rlnas search --run {}\n", trained_path(directory),
                                 directory.path()));
    }
    report(space.search(config, initial_path(directory), trained_path(directory), true, &directory), &directory, json);
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
    make_absolute(config.data, config.run, "rlnas");
    config.search.table = absolute_path(config.search.table);
    config.net.shrunk = absolute_path(config.net.shrunk);
    resolve(config, true);
    std::vector<std::pair<std::string, std::string>> kept;  // the run keeps a copy of its own
    if (!config.net.shrunk.empty()) {
        kept.emplace_back("given_space.json", read_file(config.net.shrunk));
        config.net.shrunk = config.run.out + "/export/given_space.json";
    }
    RunDirectory directory = RunDirectory::create(config.run.out, rlnas_options(config).to_toml(), kept);
    work_in(directory, true, [&] { work(config, directory, json); });
}

void resume(const std::string& path, const std::function<void(RlnasConfig&)>& change, bool json) {
    RlnasConfig config = read_config(path);
    change(config);
    RunDirectory directory = RunDirectory::open(path);
    work_in(directory, false, [&] { work(config, directory, json); });
}

namespace {

/// Writes into config.run.out, if any, which holds no run.
void search_into(const RlnasConfig& config, const std::string& initial, const std::string& trained, bool json) {
    const std::string& out = config.run.out;
    NASCENT_CHECK(out.empty() || !fs::exists(out + "/run.toml"), usage,
                  "{}: holds a run; search its own states with --run {}, or choose another folder", out, out);
    InterruptGuard interrupts;
    const RlnasReport result = rlnas_space(config.space).search(config, initial, trained, false, nullptr);
    if (!out.empty() && result.write) result.write(out);
    report(result, nullptr, json);
    if (!out.empty() && result.write && !json) print(fmt::format("the result is in {}\n", out));
}

}  // namespace

void search_run(const std::string& path, const std::function<void(RlnasConfig&)>& change, bool json) {
    RlnasConfig config = read_config(path);
    config.run.out.clear();
    change(config);
    resolve(config, false);
    const SearchRequest request = request_of(path, config);
    if (!config.run.out.empty()) return search_into(config, request.initial, request.trained, json);
    RunDirectory directory = RunDirectory::open(path);
    InterruptGuard interrupts;
    report(rlnas_space(config.space).search(config, request.initial, request.trained, false, &directory), &directory,
           json);
}

void search_files(const std::string& initial, const std::string& trained, const RlnasConfig& given, bool json) {
    RlnasConfig config = given;
    resolve(config, false);
    search_into(config, initial, trained, json);
}

void rank(const std::string& path, const std::function<void(RlnasConfig&)>& change, bool json) {
    RlnasConfig config = read_config(path);
    change(config);
    resolve(config, false);
    NASCENT_CHECK(config.space == "nasbench201", usage, "rank compares with a benchmark table; of {} there is none",
                  config.space);
    NASCENT_CHECK(!config.search.table.empty(), usage, "no table to rank against: give --table FILE.csv");
    const SearchResult result = search_states(request_of(path, config), nullptr);
    print(json ? to_json(*result.judgement).text() + "\n" : to_text(*result.judgement));
}

void angles(const std::string& directory, const std::string& initial, const std::string& trained, int count,
            const RlnasConfig& given, const std::function<void(RlnasConfig&)>& change, bool json) {
    RlnasConfig config = given;
    SearchRequest request{{}, initial, trained};
    if (!directory.empty()) {
        config = read_config(directory);
        change(config);
        request = request_of(directory, config);
    }
    resolve(config, false);
    report(rlnas_space(config.space).angles(config, request.initial, request.trained, count), nullptr, json);
}

void shrink(const ShrinkRequest& r, const RlnasConfig& given, const std::function<void(RlnasConfig&)>& change,
            bool json) {
    RlnasConfig config = given;
    std::string initial = r.initial, trained = r.trained, out = r.out;
    if (!r.directory.empty()) {
        config = read_config(r.directory);
        change(config);
        const SearchRequest request = request_of(r.directory, config);
        initial = request.initial;
        trained = request.trained;
        if (out.empty()) out = r.directory + "/export/shrunk_space.json";
    }
    resolve(config, false);
    InterruptGuard interrupts;
    report(rlnas_space(config.space).shrink(config, initial, trained, out), nullptr, json);
}

void cost(const CostRequest& r, bool json) {
    NASCENT_CHECK(r.space == "nasbench201", usage, "unknown space '{}', did you mean nasbench201?", r.space);
    const nb201::Architecture arch = nb201::parse_architecture(r.arch);
    const Cost c = cost_of({r.classes, r.size, r.channels, r.cells}, arch);
    if (json) return print(cost_json(arch, c).text() + "\n");
    print(cost_text(arch, c));
}

}  // namespace nascent::rlnas
