// Steps of DrNAS's searches, as one line of JSON: ours in bench/compare.py.
#include "bench/search_step.h"
#include "nas/run/program.h"

static int run(int argc, char** argv) {
    return nascent::bench::time_search_steps(
        argc, argv,
        {{"nb201", "drnas/nb201-cifar10"}, {"nb201-partial", "drnas/nb201-progressive"}, {"cifar", "drnas/cifar10"}});
}

int main(int argc, char** argv) { return nascent::run_program("bench_drnas_step", run, argc, argv); }
