// rlnas: architecture search without labels (RLNAS, CVPR 2021).
#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/rlnas/commands.h"
#include "apps/run_options.h"
#include "nas/run/program.h"

using namespace nascent;

namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 done; 1 failure while running (disk full, loss not finite); 2 command line or configuration; "
    "3 data or table missing or damaged; 4 checkpoint or state damaged; 5 no such device or out of memory; "
    "75 stopped by a signal, go on with resume; 130 second Ctrl-C.";

struct CommandLine : RunOptions<RlnasConfig, rlnas_options, rlnas_preset> {
    std::string directory, initial, trained, shrunk;
    rlnas::CostRequest cost;
    int count = 200;
    bool json = false;
};

enum class Options { none, resume, search, all };

CLI::App* add_command(CLI::App& app, CommandLine& c, const char* name, const char* help, Options options) {
    CLI::App* sub = app.add_subcommand(name, help);
    sub->add_flag("--json", c.json, "print the result as one line of JSON");
    if (options == Options::all) add_options(*sub, c.table, c.overrides);
    if (options == Options::resume) add_options(*sub, c.resumable, c.overrides);
    if (options == Options::search) add_options(*sub, c.table, c.overrides, {"data", "net", "train"});
    return sub;
}

int run(int argc, char** argv) {
    CommandLine c;
    CLI::App app("rlnas: architecture search on random labels (RLNAS, CVPR 2021)", "rlnas");
    app.footer(exit_codes);
    app.require_subcommand(0, 1);
    app.add_flag("--json", c.json, "print the result as one line of JSON");
    CLI::App* whole = add_command(app, c, "run", "train a supernet, search it, compare with a table", Options::all);
    CLI::App* train = add_command(app, c, "train", "only train a supernet", Options::all);
    CLI::App* search =
        add_command(app, c, "search", "search the states of a trained run, or of two files", Options::search);
    CLI::App* rank =
        add_command(app, c, "rank", "how well the angles of a run rank a benchmark table", Options::search);
    CLI::App* angles =
        add_command(app, c, "angles",
                    "angles of random architectures of a trained run, or of two files, and how switches move them",
                    Options::search);
    CLI::App* shrink = add_command(
        app, c, "shrink",
        "drop operators by the mean angle of architectures that have them: in a new run that trains, or (of "
        "nasbench201) by the states of one that has, or of two files",
        Options::all);
    CLI::App* resume = add_command(app, c, "resume", "go on with a run that was stopped", Options::resume);
    CLI::App* cost =
        add_command(app, c, "cost", "parameters and multiply-accumulates of an architecture", Options::none);
    search->add_option("--run", c.directory, "folder of a run")->option_text("DIR");
    search->add_option("--init", c.initial, "supernet before training (safetensors, PyTorch's names)")
        ->option_text("FILE");
    search->add_option("--final", c.trained, "supernet after training")->option_text("FILE");
    angles->add_option("--run", c.directory, "folder of a run")->option_text("DIR");
    angles->add_option("--init", c.initial, "supernet before training")->option_text("FILE");
    angles->add_option("--final", c.trained, "supernet after training")->option_text("FILE");
    angles->add_option("--count", c.count, "architectures")->capture_default_str()->check(CLI::Range(1, 1'000'000));
    shrink->add_option("--run", c.directory, "folder of a run")->option_text("DIR");
    shrink->add_option("--init", c.initial, "supernet before training")->option_text("FILE");
    shrink->add_option("--final", c.trained, "supernet after training")->option_text("FILE");
    shrink->add_option("--to", c.shrunk, "where the shrunk space is written, else the run's export folder")
        ->option_text("FILE");
    rank->add_option("--run", c.directory, "folder of a run")->option_text("DIR");
    resume->add_option("directory", c.directory, "folder of the run")->option_text("DIR");
    cost->add_option("architecture", c.cost.arch,
                     "\"|op~0|+|op~0|op~1|+|op~0|op~1|op~2|\", a tuple of operators or #INDEX")
        ->option_text("ARCH");
    cost->add_option("--space", c.cost.space, "search space")->capture_default_str();
    for (auto [flag, value] : {std::pair{"--classes", &c.cost.classes},
                               {"--size", &c.cost.size},
                               {"--channels", &c.cost.channels},
                               {"--cells", &c.cost.cells}})
        cost->add_option(flag, *value, "of the network")->capture_default_str()->check(CLI::Range(1, 1'000'000));

    if (!parse_command_line(app, argc, argv)) return 0;
    auto change = [&](RlnasConfig& base) { c.change(base); };
    if (*whole || *train) {
        c.config = c.chosen();
        if (*train) c.config.run.until = "train";
        rlnas::run(c.config, c.json);
    } else if (*search) {
        const bool files = !c.initial.empty() && !c.trained.empty();
        NASCENT_CHECK(c.directory.empty() == files && c.initial.empty() == c.trained.empty(), usage,
                      "search needs --run DIR, or --init FILE and --final FILE");
        if (!files) {
            rlnas::search_run(c.directory, change, c.json);
        } else {
            c.config = c.chosen();
            rlnas::search_files(c.initial, c.trained, c.config, c.json);
        }
    } else if (*angles) {
        const bool files = !c.initial.empty() && !c.trained.empty();
        NASCENT_CHECK(c.directory.empty() == files && c.initial.empty() == c.trained.empty(), usage,
                      "angles needs --run DIR, or --init FILE and --final FILE");
        rlnas::angles(c.directory, c.initial, c.trained, c.count, c.chosen(), change, c.json);
    } else if (*shrink) {
        NASCENT_CHECK(c.initial.empty() == c.trained.empty() && (c.directory.empty() || c.initial.empty()), usage,
                      "shrink begins a new run, or needs --run DIR, or --init FILE and --final FILE");
        c.config = c.chosen();
        c.config.run.until = "shrink";
        if (c.directory.empty() && c.initial.empty() && c.config.shrink.by != "magnitude")
            rlnas::run(c.config, c.json);
        else
            rlnas::shrink({c.directory, c.initial, c.trained, c.shrunk}, c.config, change, c.json);
    } else if (*rank) {
        NASCENT_CHECK(!c.directory.empty(), usage, "rank needs --run DIR");
        rlnas::rank(c.directory, change, c.json);
    } else if (*resume) {
        NASCENT_CHECK(!c.directory.empty(), usage, "resume needs the folder of a run: rlnas resume DIR");
        rlnas::resume(
            c.directory, [&](RlnasConfig& base) { c.change_resumed(base); }, c.json);
    } else if (*cost) {
        NASCENT_CHECK(!c.cost.arch.empty(), usage, "cost needs an architecture: rlnas cost ARCH");
        rlnas::cost(c.cost, c.json);
    } else {
        std::fputs(app.help().c_str(), stderr);
        return static_cast<int>(ErrorKind::usage);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("rlnas", run, argc, argv); }
