// Steps of DrNAS's searches, as one line of JSON: ours in bench/compare.py.
#include "bench/search_step.h"

int main(int argc, char** argv) {
    return nascent::bench::time_search_steps(
        argc, argv,
        {{"nb201", "drnas/nb201-cifar10"}, {"nb201-partial", "drnas/nb201-progressive"}, {"cifar", "drnas/cifar10"}});
}
