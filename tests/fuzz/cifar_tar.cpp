#include "nas/data/dataset.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string path = nascent::fuzz::as_file("cifar.tar.gz", nascent::fuzz::text(data, size));
    return nascent::fuzz::expect_error_or_nothing(
        [&] { nascent::load_dataset((size % 2 ? "cifar10:" : "cifar100:") + path, {.threads = 1}); });
}
