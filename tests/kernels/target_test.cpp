#include "kernels/target.h"

#include <algorithm>
#include <stdexcept>

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

TEST_CASE("CPU targets can be named and forced") {
    const std::string before(kernels::cpu_target());
    const auto names = kernels::cpu_targets();
    REQUIRE(!names.empty());
    CHECK(names.back() == "fallback");
    CHECK(std::find(names.begin(), names.end(), before) != names.end());
    for (std::string_view name : names) {
        kernels::force_cpu_target(name);
        CHECK(kernels::cpu_target() == name);
    }
    CHECK_THROWS_AS(kernels::force_cpu_target("sse9"), std::invalid_argument);
    CHECK_THROWS_AS(kernels::force_cpu_target(""), std::invalid_argument);
    CHECK(kernels::cpu_target() == names.back());  // a refused name changes nothing
    for (std::string_view name : {"avx512", "avx2"})
        if (std::find(names.begin(), names.end(), name) == names.end())
            CHECK_THROWS_AS(kernels::force_cpu_target(name), std::invalid_argument);
    kernels::force_cpu_target(before);
}

}  // namespace
}  // namespace nascent::test
