// CPU time of the whole process.
#pragma once
#include <time.h>

namespace nascent::bench {

inline double core_seconds() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace nascent::bench
