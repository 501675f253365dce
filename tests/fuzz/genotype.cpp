#include "nas/space/darts.h"
#include "nas/space/darts_genotypes.h"
#include "tests/fuzz/harness.h"

using namespace nascent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text(data, size);
    fuzz::expect_error_or_nothing([&] {
        const auto genotype = darts::genotype_from(text);
        if (!(darts::parse_genotype(darts::to_string(genotype)) == genotype))
            __builtin_trap();  // the printed form means the same
    });
    return fuzz::expect_error_or_nothing([&] {
        const auto genotype = darts::parse_recurrent(text);
        if (!(darts::parse_recurrent(darts::to_string(genotype)) == genotype)) __builtin_trap();
    });
}
