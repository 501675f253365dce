// Steps of a DARTS search (C = 16, 8 cells), as one line of JSON: the side of bench/compare.py that is ours.
#include "bench/search_step.h"
#include "nas/run/program.h"

static int run(int argc, char** argv) { return nascent::bench::time_search_steps(argc, argv, {{"", "darts/cifar10"}}); }

int main(int argc, char** argv) { return nascent::run_program("bench_darts_step", run, argc, argv); }
