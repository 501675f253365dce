// Steps of a PC-DARTS search (C = 16, 8 cells, one channel in four), as one line of JSON: ours in bench/compare.py.
#include "bench/search_step.h"
#include "nas/run/program.h"

static int run(int argc, char** argv) {
    return nascent::bench::time_search_steps(argc, argv, {{"", "pcdarts/cifar10"}});
}

int main(int argc, char** argv) { return nascent::run_program("bench_pcdarts_step", run, argc, argv); }
