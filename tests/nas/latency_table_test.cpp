// Latency tables: measured, written, read back, refused.
#include <doctest/doctest.h>

#include "engine/base/error.h"
#include "nas/algo/measure_latency.h"
#include "nas/algo/search_limits.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using namespace nascent::test;

namespace {

chain::Space small(const char* name, int last_scale = 7) {
    chain::Config c;
    c.input_size = 32;
    c.classes = 10;
    c.last_scale = last_scale;
    return chain::space(name, c);
}

/// Numbers of every digit, no two alike.
LatencyTable made_up(const chain::Space& space) {
    LatencyTable t;
    t.space = space.name;
    t.device = "cpu (avx512)";
    t.dtype = "float32";
    t.size = space.config.input_size;
    t.classes = space.config.classes;
    t.batch = 1;
    t.threads = 2;
    t.repeats = 20;
    t.stem = 91'234;
    t.head = 45'671;
    const chain::Choices all = chain::all_choices(space);
    for (std::size_t b = 0; b < all.size(); b++)
        for (const chain::Choice& c : all[b])
            t.blocks[{static_cast<int>(b), c.op, c.scale}] =
                10'007 + 1'003 * static_cast<int>(b) + 7'919 * (c.op + 1) + 13 * c.scale;
    return t;
}

std::string refused(const std::string& text, const chain::Space& space) {
    try {
        (void)LatencyTable::parse(text, "t.csv", space);
    } catch (const Error& e) {
        return e.what();
    }
    return "";
}
std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a latency table is read as it was written") {
    for (const char* name : {"shufflenet", "shufflenet-channels", "mobilenet", "mobilenet-mmrazor"}) {
        CAPTURE(name);
        const chain::Space space = small(name);
        const LatencyTable t = made_up(space);
        const LatencyTable back = LatencyTable::parse(t.to_csv(space), "t.csv", space);
        CHECK(back.to_csv(space) == t.to_csv(space));
        CHECK(back.blocks == t.blocks);
        // A path costs what its entries add up to.
        const chain::Choices all = chain::all_choices(space);
        std::vector<int> path;
        std::int64_t sum = t.stem + t.head, gridded = (t.stem + 99) / 100 * 100 + (t.head + 99) / 100 * 100;
        for (std::size_t b = 0; b < all.size(); b++) {
            path.push_back(static_cast<int>((3 * b + 1) % all[b].size()));
            const chain::Choice c = all[b][static_cast<std::size_t>(path.back())];
            const std::int64_t time = t.blocks.at({static_cast<int>(b), c.op, c.scale});
            sum += time;
            gridded += (time + 99) / 100 * 100;
        }
        CHECK(latency_costs(back, space, all, 1).of(path) == sum);
        CHECK(latency_costs(back, space, all, 100).of(path) == gridded);
    }
}

TEST_CASE("a latency table that is not one is refused with its line and what was expected") {
    const chain::Space space = small("shufflenet");
    const std::string text = made_up(space).to_csv(space);
    const auto check = [&](const std::string& bad, const std::string& message) {
        const std::string said = refused(bad, space);
        CAPTURE(said);
        CHECK(said.find(message) != std::string::npos);
    };
    check("", "t.csv:1: expected the line '# spos latency table', found 'the end of the file'");
    check("block,op,nanoseconds\n", "t.csv:1: expected the line '# spos latency table'");
    check(replaced(text, "# batch: 1\n", ""), "t.csv:9: expected a line '# batch: ...' before it");
    check(replaced(text, "# batch: 1\n", "# batch: 1\n# batch: 1\n"), "t.csv:6: batch is there twice");
    check(replaced(text, "# batch: 1\n", "# batch: one\n"), "t.csv:5: batch: expected a positive integer, found 'one'");
    check(replaced(text, "# batch", "# bunch"), "t.csv:5: unknown key 'bunch'");
    check(replaced(text, "block,op,nano", "block,nano"), "t.csv:10: expected the columns 'block,op,nanoseconds'");
    check(replaced(text, "\n3,2,", "\n3,4,"), "block 3: expected one of the operators 0, 1, 2, 3, found '4'");
    check(replaced(text, "\n3,2,", "\n20,2,"), "expected stem, head or a block's number 0..19, found '20'");
    check(replaced(text, "\n3,2,", "\n3,2,-"), "expected a whole number of nanoseconds");
    check(replaced(text, "\n3,2,", "\n3,2,1.5"), "expected a whole number of nanoseconds");
    check(replaced(text, "\n3,2,", "\n3,"), "expected 3 columns");
    check(replaced(text, "\n3,2,", "\n3,1,"), "t.csv:26: block 3, operator 1 is there twice");
    check(replaced(text, "stem,,91234\n", ""), "t.csv: no entry for the stem");
    check(replaced(text, "head,,45671\n", ""), "t.csv: no entry for the head");
    check(replaced(text, "stem,,", "stem,0,"), "stem has no operator");
    const std::size_t row = text.find("\n7,2,") + 1;
    check(std::string(text).erase(row, text.find('\n', row) + 1 - row),
          "t.csv: no entry for block 7, operator 2 (shuffle_7x7); expected a row for every operator");
    check(replaced(text, "# space: shufflenet", "# space: mobilenet"), "it is a table of the space mobilenet");
    // Every prefix of a good file is refused or complete: nothing is read past the end.
    for (std::size_t n = 0; n + 1 < text.size(); n += 7) CHECK(!refused(text.substr(0, n), space).empty());
    TemporaryFolder folder;
    const std::string path = folder.path() + "/t.csv";
    write_text(path, text);
    CHECK_NOTHROW(LatencyTable::read(path, space));
    CHECK_THROWS_WITH_AS(LatencyTable::read(path, chain::space("shufflenet")),
                         doctest::Contains("measure it again: spos latency --space shufflenet --size 224"), Error);
}

TEST_CASE("paths under a latency are drawn without rejection, on a grid where the costs are too fine") {
    TemporaryFolder folder;
    const std::string path = folder.path() + "/t.csv";
    for (const char* name : {"shufflenet", "mobilenet"}) {
        CAPTURE(name);
        const chain::Space space = small(name);
        const LatencyTable t = made_up(space);
        write_text(path, t.to_csv(space));
        const chain::Choices all = chain::all_choices(space);
        const PathCosts exact = latency_costs(t, space, all, 1);
        SposSearchOptions o;
        o.latency_table = path;
        // A quarter of the way from the fastest path to the slowest.
        o.max_latency = static_cast<double>(exact.low() + (exact.high() - exact.low()) / 4) * 1e-6;
        const SearchLimits limits = SearchLimits::of(o, space);
        REQUIRE(limits.paths);
        for (std::uint64_t i = 0; i < 200; i++) {
            const std::vector<int> drawn = limits.paths->draw(3, RandomStream::search, i);
            CHECK(static_cast<double>(exact.of(drawn)) <= o.max_latency * 1e6);
            CHECK(limits.latency_of(space, chain::architecture_of(space, all, drawn)) == exact.of(drawn));
        }
        o.max_latency = static_cast<double>(exact.low() - 1'000) * 1e-6;
        CHECK_THROWS_WITH_AS(SearchLimits::of(o, space), doctest::Contains("the nearest that can be reached"), Error);
    }
}

TEST_CASE("latencies are measured for all that a space has, alike for blocks of one shape") {
    for (const char* name : {"shufflenet", "mobilenet-mmrazor", "shufflenet-channels"}) {
        CAPTURE(name);
        const chain::Space space = small(name, 1);
        const auto device = make_device("cpu");
        LatencyRequest r;
        r.repeats = 3;
        r.warmup = 1;
        int rounds = 0;
        r.progress = [&](int done, int of) {
            CHECK(done == ++rounds);
            CHECK(of == 4);
        };
        const LatencyTable t = measure_latency(*device, space, r);
        CHECK(rounds == 4);
        CHECK(t.stem > 0);
        CHECK(t.head > 0);
        const LatencyTable back = LatencyTable::parse(t.to_csv(space), "t.csv", space);
        CHECK(back.blocks == t.blocks);
        const auto at = [&](int block, int op) {
            return t.blocks.at({block, op, space.channels ? 1 : chain::kUnscaled});
        };
        CHECK(at(1, 1) == at(2, 1));
        CHECK(at(9, 2) == at(10, 2));
        // A true identity computes nothing: less than any convolution.
        if (space.family == chain::Family::mobilenet) CHECK(at(1, chain::kIdentity) < at(1, 0));
    }
}
