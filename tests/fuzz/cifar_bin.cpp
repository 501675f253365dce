#include "nas/data/dataset.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // The first byte cuts the rest into a training and a test file.
    if (size == 0) return 0;
    const auto all = nascent::fuzz::text(data + 1, size - 1);
    const std::size_t cut = all.size() * data[0] / 255;
    nascent::fuzz::as_file("cifar100/train.bin", all.substr(0, cut));
    const std::string test = nascent::fuzz::as_file("cifar100/test.bin", all.substr(cut));
    return nascent::fuzz::expect_error_or_nothing([&] {
        nascent::load_dataset("cifar100:" + std::filesystem::path(test).parent_path().string(), {.threads = 1});
    });
}
