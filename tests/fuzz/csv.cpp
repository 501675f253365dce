#include "nas/metric/table.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return nascent::fuzz::expect_error_or_nothing(
        [&] { nascent::BenchmarkTable::parse(nascent::fuzz::text(data, size), "fuzz"); });
}
