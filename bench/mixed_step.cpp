// Steps of a DARTS search on NAS-Bench-201 (C = 16, N = 5, all operators at once), as one line of JSON: the side of
// bench/compare.py that is ours.
#include "bench/search_step.h"
#include "nas/run/program.h"

static int run(int argc, char** argv) { return nascent::bench::time_search_steps(argc, argv, {{"", "darts/nb201"}}); }

int main(int argc, char** argv) { return nascent::run_program("bench_mixed_step", run, argc, argv); }
