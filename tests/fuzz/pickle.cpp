#include "nas/data/pickle.h"

#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return nascent::fuzz::expect_error_or_nothing([&] {
        const nascent::pickle::Document document(nascent::Bytes(data, data + size), "fuzz");
        const auto array = document.array(document.at(document.root(), "data"));
        unsigned sum = 0;
        for (char c : array.data) sum += static_cast<unsigned char>(c);
        const auto labels = document.integers(document.at(document.root(), "labels"));
        if (sum == 1 && labels.empty()) std::putchar(0);
    });
}
