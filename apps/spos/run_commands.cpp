#include "apps/spos/run_commands.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "nas/algo/spos.h"
#include "nas/algo/spos_run.h"
#include "nas/algo/spos_search.h"
#include "nas/run/interrupt.h"
#include "nas/run/program.h"
#include "nas/run/training_loop.h"

namespace nascent::spos {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGivenSpace = "given_space.json";
/// A run's own copy of net.shrunk, wherever the run has been moved to.
std::string given_space(const std::string& run) { return run + "/export/" + kGivenSpace; }

SposConfig read_config(const std::string& directory) {
    SposConfig config;
    const std::string path = directory + "/run.toml";
    NASCENT_CHECK(fs::exists(path), usage, "{}: no run, there is no run.toml in it", directory);
    spos_options(config).read_toml(path);
    if (!config.net.shrunk.empty()) config.net.shrunk = given_space(absolute_path(directory));
    return config;
}

void report(const RunDirectory& directory, bool json) {
    const std::string result = read_file(directory.arch_path());
    if (json) return print(result);
    const std::string& d = directory.path();
    std::string exported;
    for (const char* name : {"arch.svg", "arch.yaml", "candidates.csv", "supernet.safetensors"})
        if (fs::exists(directory.export_folder() + "/" + name))
            exported += fmt::format("{}{}", exported.empty() ? "" : ", ", name);
    print(spos_result_text(result, directory.arch_path()) + fmt::format("the run is in {}\n  {}\n  {}: {}\n", d,
                                                                        directory.arch_path(),
                                                                        directory.export_folder(), exported));
}

void work(const SposConfig& config, RunDirectory& directory, bool json) {
    InterruptGuard interrupts;
    const bool searches = config.run.until == "search";
    const bool to_train = config.search.checkpoint.empty() && !fs::exists(supernet_path(directory));
    const bool to_search = searches && !fs::exists(directory.arch_path());
    if (to_train || to_search) {
        SposPictures pictures(config);
        if (!pictures.warning.empty()) directory.log().warn(pictures.warning);
        if (to_train && searches) check_search(config, pictures);  // what would fail hours later
        if (to_train) SposTraining(config, pictures, directory).train();
        if (to_search) search_spos(config, pictures, directory);
    }
    if (searches) return report(directory, json);
    const std::string path = supernet_path(directory);
    if (json) return print(JsonObject().add("run", directory.path()).add("supernet", path).text() + "\n");
    print(fmt::format("trained: {}\nsearch it with: spos search --run {}\n", path, directory.path()));
}

}  // namespace

void run(SposConfig config, bool json) {
    make_absolute(config.data, config.run, "spos");
    config.search.latency_table = absolute_path(config.search.latency_table);
    config.search.checkpoint = absolute_path(config.search.checkpoint);
    resolve(config);
    std::vector<std::pair<std::string, std::string>> kept;  // the run keeps a copy of its own
    if (!config.net.shrunk.empty()) {
        config.net.shrunk = absolute_path(config.net.shrunk);
        (void)operators_of(config, chain::space(config.space));  // what is wrong with it is said of the file given
        kept.emplace_back(kGivenSpace, read_file(config.net.shrunk));
        config.net.shrunk = given_space(config.run.out);
    }
    RunDirectory directory = RunDirectory::create(config.run.out, spos_options(config).to_toml(), kept);
    work_in(directory, true, [&] { work(config, directory, json); });
}

void search(SposConfig config, bool json) {
    NASCENT_CHECK(!config.search.checkpoint.empty(), usage,
                  "search needs a trained supernet: --run DIR, or --checkpoint FILE with --data and --space");
    config.run.until = "search";
    run(std::move(config), json);
}

void search_run(const std::string& path, const std::function<void(SposConfig&)>& change, bool json) {
    SposConfig config = read_config(path);
    config.run.out.clear();
    if (config.search.checkpoint.empty()) config.search.checkpoint = path + "/export/supernet.safetensors";
    NASCENT_CHECK(fs::exists(config.search.checkpoint), usage,
                  "{}: the training is not over; go on with: spos resume {}", path, path);
    change(config);
    search(std::move(config), json);
}

void resume(const std::string& path, const std::function<void(SposConfig&)>& change, bool json) {
    SposConfig config = read_config(path);
    change(config);
    RunDirectory directory = RunDirectory::open(path);
    work_in(directory, false, [&] { work(config, directory, json); });
}

}  // namespace nascent::spos
