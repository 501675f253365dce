#include "nas/space/nasbench201.h"
#include "tests/fuzz/harness.h"

using namespace nascent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text(data, size);
    fuzz::expect_error_or_nothing([&] {
        const auto arch = nb201::parse_architecture(text);
        if (nb201::parse_architecture(nb201::to_string(arch)) != arch)
            __builtin_trap();  // the printed form means the same
    });
    return fuzz::expect_error_or_nothing([&] {
        const auto cell = nb201::parse_cell(text);
        if (!(nb201::parse_cell(nb201::to_string(cell)) == cell)) __builtin_trap();
        nb201::unique_string(cell, nb201::Simplify::zeros);
    });
}
