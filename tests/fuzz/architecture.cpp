#include "nas/space/chain_published.h"
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
    static const std::vector<chain::Space> spaces = [] {
        std::vector<chain::Space> all;
        for (std::string_view name : chain::kSpaces) all.push_back(chain::space(name));
        return all;
    }();
    for (const chain::Space& space : spaces) {
        fuzz::expect_error_or_nothing([&] {
            const auto arch = chain::architecture_from(space, text);
            if (chain::parse_architecture(space, chain::to_string(arch)) != arch) __builtin_trap();
            if (space.channels) return;
            if (chain::parse_architecture(space, chain::to_yaml(space, arch)) != arch) __builtin_trap();
        });
    }
    return fuzz::expect_error_or_nothing([&] {
        const auto cell = nb201::parse_cell(text);
        if (!(nb201::parse_cell(nb201::to_string(cell)) == cell)) __builtin_trap();
        nb201::unique_string(cell, nb201::Simplify::zeros);
    });
}
