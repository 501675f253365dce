#include <doctest/doctest.h>

#include <algorithm>

#include "nas/run/journal.h"
#include "tests/nas/run_testing.h"

using namespace nascent;
using namespace nascent::test;
namespace fs = std::filesystem;

TEST_CASE("journal: records are numbered lines of JSON") {
    TemporaryFolder folder;
    {
        Journal journal(folder / "j");
        journal.append("start", 0);
        journal.append("epoch", 10, JsonObject().add("loss", 2.5).add("arch", "a\nb"));
        CHECK_THROWS_AS(journal.append("epoch", 9), Error);
        CHECK(journal.size() == 2);
    }
    CHECK(journal_of(folder / "j") ==
          "{\"v\":1,\"seq\":0,\"kind\":\"start\",\"step\":0}\n"
          "{\"v\":1,\"seq\":1,\"kind\":\"epoch\",\"step\":10,\"loss\":2.5,\"arch\":\"a\\nb\"}\n");
    Journal again(folder / "j");
    CHECK(again.size() == 2);
    CHECK(again.warning() == "");
    CHECK_THROWS_AS(again.append("epoch", 9), Error);  // steps go on where they were
    again.append("end", 10);
    CHECK(contains(journal_of(folder / "j"), "{\"v\":1,\"seq\":2,\"kind\":\"end\",\"step\":10}\n"));
}

TEST_CASE("journal: torn anywhere, it opens with the whole records and keeps the rest aside") {
    TemporaryFolder folder;
    {
        Journal journal(folder / "j");
        for (int i = 0; i < 3; i++) journal.append("epoch", i, JsonObject().add("x", i));
    }
    const std::string whole = read_text(folder / "j");
    for (std::size_t n = 0; n <= whole.size(); n++) {
        const std::string path = folder / fmt::format("cut{}", n);
        write_text(path, whole.substr(0, n));
        const auto lines = std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n), '\n');
        const bool torn = n > 0 && whole[n - 1] != '\n';
        Journal journal(path);
        CHECK(journal.size() == lines);
        CHECK(journal.warning().empty() == !torn);
        journal.append("next", 5);
        CHECK(Journal(path).size() == lines + 1);
        if (torn)
            CHECK(whole.substr(0, n) ==
                  whole.substr(0, n - read_text(path + ".damaged").size()) + read_text(path + ".damaged"));
    }
    // Damage in the middle: what follows cannot be trusted to be in order.
    std::string damaged = whole;
    damaged[damaged.find("\"seq\":1") + 6] = '7';
    write_text(folder / "mid", damaged);
    CHECK(Journal(folder / "mid").size() == 1);
    write_text(folder / "zeros", whole + std::string(100, '\0'));
    CHECK(Journal(folder / "zeros").size() == 3);
}
