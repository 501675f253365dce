// darts_search: architecture search by gradients (DARTS, ICLR 2019).
#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/darts_search/commands.h"
#include "apps/run_options.h"
#include "nas/run/program.h"

using namespace nascent;

namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 done; 1 failure while running (disk full, loss or alphas not finite); 2 command line or "
    "configuration; 3 data or table missing or damaged; 4 checkpoint damaged; 5 no such device or out of memory; 75 "
    "stopped by a signal, go on with resume; 130 second Ctrl-C.";

struct CommandLine : RunOptions<SearchConfig, search_options, preset> {
    std::string path, out, space = "darts";
    darts_search::CostRequest cost;
    bool json = false;
};

int run(int argc, char** argv) {
    CommandLine c;
    CLI::App app("darts_search: architecture search by gradients (DARTS, ICLR 2019)", "darts_search");
    app.footer(exit_codes);
    app.require_subcommand(0, 1);
    app.add_flag("--json", c.json, "print the result as one line of JSON");
    auto command = [&](const char* name, const char* help) {
        CLI::App* sub = app.add_subcommand(name, help);
        sub->add_flag("--json", c.json, "print the result as one line of JSON");
        return sub;
    };
    CLI::App* start = command("run", "search");
    add_options(*start, c.table, c.overrides);
    CLI::App* resume = command("resume", "go on with a run that was stopped");
    add_options(*resume, c.resumable, c.overrides);
    resume->add_option("directory", c.path, "folder of the run")->option_text("DIR");
    CLI::App* derive = command("derive", "the architecture that alphas stand for");
    derive->add_option("path", c.path, "folder of a run, or a file of alphas (JSON)")->option_text("PATH");
    CLI::App* show = command("show", "draw cells, and the history of a run's alphas");
    show->add_option("path", c.path, "folder of a run, a genotype, or the name of a published one")
        ->option_text("PATH");
    show->add_option("--space", c.space, "of a genotype: darts or nasbench201")->capture_default_str();
    show->add_option("--out", c.out, "folder for the drawings")->option_text("DIR");
    CLI::App* cost = command("cost", "parameters and multiply-accumulates of a network, as JSON");
    cost->add_option("genotype", c.cost.text, "a genotype, the name of a published one, or an architecture")
        ->option_text("GENOTYPE");
    cost->add_option("--space", c.cost.space, "darts or nasbench201")->capture_default_str();
    cost->add_option("--data", c.cost.data, "network of the papers: cifar10, cifar100 or imagenet")
        ->capture_default_str();
    for (auto [flag, value] : {std::pair{"--channels", &c.cost.channels},
                               {"--layers", &c.cost.layers},
                               {"--size", &c.cost.size},
                               {"--classes", &c.cost.classes}})
        cost->add_option(flag, *value, "of the network; the data set's where it is not given")
            ->check(CLI::Range(1, 1'000'000));
    cost->add_flag("--auxiliary", c.cost.auxiliary, "with the auxiliary head");

    if (!parse_command_line(app, argc, argv)) return 0;
    auto needs = [](const std::string& text, const char* what) {
        NASCENT_CHECK(!text.empty(), usage, "{}", what);
        return text;
    };
    if (*start) {
        darts_search::run(c.chosen(), c.json);
    } else if (*resume) {
        darts_search::resume(
            needs(c.path, "resume needs the folder of a run: darts_search resume DIR"),
            [&](SearchConfig& base) { c.change_resumed(base); }, c.json);
    } else if (*derive) {
        darts_search::derive(needs(c.path, "derive needs a run or a file: darts_search derive PATH"), c.json);
    } else if (*show) {
        darts_search::show(needs(c.path, "show needs a run or a genotype: darts_search show PATH"), c.space, c.out,
                           c.json);
    } else if (*cost) {
        (void)needs(c.cost.text, "cost needs a genotype: darts_search cost GENOTYPE");
        darts_search::cost(c.cost);
    } else {
        std::fputs(app.help().c_str(), stderr);
        return static_cast<int>(ErrorKind::usage);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("darts_search", run, argc, argv); }
