// A run with Winograd's convolutions.
#include <doctest/doctest.h>

#include "tests/apps/program.h"

using namespace nascent::test;

TEST_CASE("--conv winograd is another run, the same with one and two threads, and run.toml keeps it") {
    TemporaryFolder folder;
    REQUIRE(rlnas(small_run(folder / "direct")).code == 0);
    REQUIRE(rlnas(small_run(folder / "one", {"--conv", "winograd", "--threads", "1"})).code == 0);
    REQUIRE(rlnas(small_run(folder / "two", {"--conv", "winograd", "--threads", "2"})).code == 0);
    const Remains direct = remains(folder / "direct"), one = remains(folder / "one");
    CHECK(one == remains(folder / "two"));
    CHECK(one.initial == direct.initial);
    CHECK(one.trained != direct.trained);
    REQUIRE(rlnas({"run", "--config", folder / "one/run.toml", "--out", folder / "copy"}).code == 0);
    CHECK(one == remains(folder / "copy"));
    CHECK(rlnas(small_run(folder / "wrong", {"--conv", "fft"})).code == 2);
}

TEST_CASE("searches by gradients take --conv winograd too") {
    TemporaryFolder folder;
    auto search = [&](const std::string& name, std::vector<std::string> more) {
        std::vector<std::string> a{"run", "--preset", "smoke/nb201-1st", "--channels", "8", "--out", folder / name};
        a.insert(a.end(), more.begin(), more.end());
        REQUIRE(darts_search(a).code == 0);
        return read_text(folder / name + "/export/final.safetensors");
    };
    const std::string one = search("one", {"--conv", "winograd", "--threads", "1"});
    CHECK(one == search("two", {"--conv", "winograd", "--threads", "2"}));
    CHECK(one != search("direct", {}));
}
