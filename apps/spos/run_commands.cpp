#include "apps/spos/run_commands.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "nas/algo/spos.h"
#include "nas/run/interrupt.h"
#include "nas/run/program.h"
#include "nas/run/training_loop.h"

namespace nascent::spos {
namespace {

namespace fs = std::filesystem;

SposConfig read_config(const std::string& directory) {
    SposConfig config;
    const std::string path = directory + "/run.toml";
    NASCENT_CHECK(fs::exists(path), usage, "{}: no run, there is no run.toml in it", directory);
    spos_options(config).read_toml(path);
    return config;
}

void work(const SposConfig& config, RunDirectory& directory, bool json) {
    InterruptGuard interrupts;
    train_spos(config, directory);
    const std::string path = supernet_path(directory);
    if (json) return print(JsonObject().add("run", directory.path()).add("supernet", path).text() + "\n");
    print(fmt::format("trained: {}\n", path));
}

}  // namespace

void run(SposConfig config, bool json) {
    make_absolute(config.data, config.run, "spos");
    resolve(config);
    std::string shrunk;  // the run keeps a copy of its own
    if (!config.net.shrunk.empty()) {
        shrunk = read_file(absolute_path(config.net.shrunk));
        config.net.shrunk = config.run.out + "/export/given_space.json";
    }
    RunDirectory directory = RunDirectory::create(config.run.out, spos_options(config).to_toml());
    if (!shrunk.empty()) write_file_atomic(config.net.shrunk, shrunk);
    work_in(directory, true, [&] { work(config, directory, json); });
}

void resume(const std::string& path, const std::function<void(SposConfig&)>& change, bool json) {
    SposConfig config = read_config(path);
    change(config);
    RunDirectory directory = RunDirectory::open(path);
    work_in(directory, false, [&] { work(config, directory, json); });
}

}  // namespace nascent::spos
