#include "nas/algo/rlnas_config.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return nascent::fuzz::expect_error_or_nothing([&] {
        nascent::RlnasConfig config;
        auto table = nascent::rlnas_options(config);
        table.parse_toml(nascent::fuzz::text(data, size), "fuzz");
        // What was read and is written again must be read again.
        const std::string written = table.to_toml();
        nascent::RlnasConfig copy;
        auto again = nascent::rlnas_options(copy);
        try {
            again.parse_toml(written, "written");
        } catch (const nascent::Error&) {
            __builtin_trap();
        }
        if (again.to_toml() != written) __builtin_trap();
    });
}
