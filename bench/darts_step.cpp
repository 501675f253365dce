// Steps of a DARTS search (C = 16, 8 cells), as one line of JSON: the side of bench/compare.py that is ours.
#include "bench/search_step.h"

int main(int argc, char** argv) { return nascent::bench::time_search_steps(argc, argv, {{"", "darts/cifar10"}}); }
