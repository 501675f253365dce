#include "nas/metric/table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/space/nasbench201.h"
#include "tests/real_data.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::test;
using nb201::Architecture;
using nb201::kArchitectures;

namespace {

/// A whole table in memory, its lines changed by `change`.
std::string csv(const std::function<void(std::vector<std::string>&)>& change = [](auto&) {}) {
    std::vector<std::string> lines = {"index,arch,accuracy,note"};
    for (int i = 0; i < kArchitectures; ++i) {
        Architecture arch = nb201::from_official_index(i);
        lines.push_back(
            fmt::format("{},{},{}.5,\"a \"\"quoted\"\", note\"", i, nb201::to_string(arch), arch.id() % 97));
    }
    change(lines);
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
}

std::string refusal(const std::string& text, std::string_view column = "accuracy", ErrorKind kind = ErrorKind::data) {
    const std::string what = error_of(kind, [&] { BenchmarkTable::parse(text, "table.csv").accuracy(column); });
    CHECK((what.empty() || contains(what, "table.csv")));
    return what;
}

bool has(const std::string& text, const std::string& part) {
    CAPTURE(text);
    const bool found = contains(text, part);
    CHECK(found);
    return found;
}

}  // namespace

TEST_CASE("a benchmark table is read by architecture") {
    auto reversed = [](std::vector<std::string>& lines) { std::reverse(lines.begin() + 1, lines.end()); };
    std::string windows = "\xEF\xBB\xBF";
    for (char c : csv()) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
    std::string no_end = csv();
    no_end.pop_back();
    std::string broken_note =
        csv([](auto& lines) { lines[3] = lines[3].substr(0, lines[3].size() - 1) + "\nsecond line\""; });
    for (const std::string& text : {csv(), csv(reversed), windows, no_end, broken_note}) {
        BenchmarkTable table = BenchmarkTable::parse(text, "table.csv");
        CHECK(table.columns() == std::vector<std::string>{"index", "arch", "accuracy", "note"});
        std::vector<double> values = table.accuracy("accuracy");
        CHECK(values.size() == 15625);
        for (std::size_t id = 0; id < values.size(); ++id) CHECK(values[id] == static_cast<double>(id % 97) + 0.5);
        CHECK(table.text("note")[5].substr(0, 16) == "a \"quoted\", note");
    }
    CHECK(BenchmarkTable::parse(broken_note, "x")
              .text("note")[static_cast<std::size_t>(nb201::from_official_index(2).id())] ==
          "a \"quoted\", note\nsecond line");
}

TEST_CASE("a wrong table is refused with file, line and column") {
    auto with = [](std::size_t line, const std::string& text) {
        return csv([&](auto& lines) { lines[line - 1] = text; });
    };
    const std::string arch2 = nb201::to_string(nb201::from_official_index(2)),
                      arch3 = nb201::to_string(nb201::from_official_index(3));
    has(refusal(""), "empty");
    has(refusal("index,architecture,accuracy\n"), "no column 'arch'");
    has(refusal("arch,a,a\n"), "column 3: 'a' is there twice");
    has(refusal("arch,,a\n"), "column 2");
    has(refusal("arch,accuracy\n"), "0 of 15625");
    has(refusal("arch,accuracy\n" + nb201::to_string(Architecture::from_id(0)) + ",1\n"),
        "1 of 15625 architectures; the first missing one is " + nb201::to_string(Architecture::from_id(1)));
    has(refusal("arch\n\nx\n"), "line 2, column arch");  // of one column, an empty line is a row
    has(refusal(csv([](auto& lines) { lines.erase(lines.begin() + 100); })),
        "15624 of 15625 architectures; the first missing one is |");
    has(refusal(with(4, "3," + arch3 + ",1,x")), "table.csv, line 5, column arch: " + arch3 + " is also on line 4");
    has(refusal(with(4, "2,|nor_conv_3x5~0|,1,x")), "table.csv, line 4, column arch: architecture");
    has(refusal(with(4, "7," + arch2 + ",1,x")), "line 4, column index: '7'; the benchmark's index");
    has(refusal(with(4, "," + arch2 + ",1,x")), "line 4, column index: ''");
    has(refusal(with(4, "2," + arch2 + ",1")), "line 4: 3 fields; the header has 4");
    has(refusal(with(4, "2," + arch2 + ",1,x,")), "line 4: 5 fields; the header has 4");
    has(refusal(with(4, "")), "line 4: empty line inside the table");
    has(refusal(with(4, "2," + arch2 + ",1,x\"y")), "line 4, field 4: a quote inside");
    has(refusal(with(4, "2," + arch2 + ",1,\"x\"y")), "line 4, field 4: expected a comma");
    has(refusal(with(15626, "15624," + arch2 + ",1,\"x")),
        "line 15626, field 4: the quote that opens the field is not closed");
    has(refusal(with(4, "2," + arch2 + ",1\rx,x")), "line 4, field 3: a carriage return");
    for (const char* bad : {"", "x", "1x", "nan", "inf", "-1", "100.01", "1e400", " 1", "0x1", "1,"}) {
        has(refusal(with(4, "2," + arch2 + ",\"" + bad + "\",x")), fmt::format("line 4, column accuracy: '{}'", bad));
    }
    has(refusal(csv(), "acuracy", ErrorKind::usage), "no column 'acuracy'; nearest: accuracy");
    try {
        BenchmarkTable::read("no/such/table.csv");
        CHECK(false);
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::data);
        has(e.what(), "no/such/table.csv");
    }
    BenchmarkTable table = BenchmarkTable::parse(csv(), "table.csv");
    CHECK_THROWS_AS(table.guess_column(10), Error);
    CHECK_THROWS_AS(table.guess_column(11), Error);
}

TEST_CASE("the benchmark's own table") {
    const std::string path = real_data("nasbench201.csv");
    if (path.empty()) return;
    BenchmarkTable table = BenchmarkTable::read(path);
    auto best = [&](int classes) {
        std::vector<double> values = table.accuracy(table.guess_column(classes));
        return *std::max_element(values.begin(), values.end());
    };
    // The optima that papers on NAS-Bench-201 quote: 94.37, 73.51, 47.31.
    CHECK(best(10) == doctest::Approx(94.37).epsilon(1e-4));
    CHECK(best(100) == doctest::Approx(73.51).epsilon(1e-4));
    CHECK(best(120) == doctest::Approx(47.31).epsilon(1e-4));
    std::vector<std::string> canonical = table.text("canonical");
    for (int id = 0; id < kArchitectures; ++id) {
        Architecture arch = Architecture::from_id(id);
        CHECK(canonical[static_cast<std::size_t>(id)] == nb201::unique_string(arch, nb201::Simplify::zeros));
    }
}

TEST_CASE("mutilated tables are read or refused, never anything else") {
    const std::string good = csv();
    int read = 0, refused = 0;
    auto attempt = [&](const std::string& text) {
        try {
            std::size_t rows = BenchmarkTable::parse(text, "table.csv").accuracy("accuracy").size();
            CHECK(rows == 15625);
            ++read;
        } catch (const Error& e) {
            CHECK((e.kind() == ErrorKind::data || e.kind() == ErrorKind::usage));
            ++refused;
        }
    };
    // Cut at places spread over the file, and every third byte of its first two lines replaced.
    for (std::size_t at = 0; at < good.size(); at += good.size() / 61) attempt(good.substr(0, at));
    const std::size_t two_lines = good.find('\n', good.find('\n') + 1) + 1;
    for (std::size_t at = 0; at < two_lines; at += 3) {
        std::string text = good;
        for (char c : {'"', '\n', '\0'}) {
            text[at] = c;
            attempt(text);
        }
    }
    CHECK(refused > 100);
    MESSAGE(read << " read, " << refused << " refused");
}

TEST_CASE("ranks, and the column of a data set") {
    CHECK(rank_of({}, 5) == 1);
    CHECK(rank_of({5, 7, 5, 9}, 9) == 1);
    CHECK(rank_of({5, 7, 5, 9}, 5) == 3);
    const BenchmarkTable table = BenchmarkTable::parse(csv(), "table.csv");
    const int id = 97 * 3 + 40;  // of the accuracies 0.5..96.5 by id, how many are above 40.5
    int above = 0;
    for (int i = 0; i < kArchitectures; ++i) above += i % 97 > 40;
    CHECK(table.standing("accuracy", id).accuracy == 40.5);
    CHECK(table.standing("accuracy", id).rank == 1 + above);
    int said = 0;
    auto say = [&](const std::string&) { ++said; };
    CHECK(chosen_column(table, "accuracy", 10, say) == "accuracy");
    CHECK(said == 0);
    const BenchmarkTable of_ten = BenchmarkTable::parse(csv([](auto& lines) {
                                                            for (std::string& line : lines)
                                                                line = line.substr(line.find(',') + 1);
                                                            lines[0] = "arch,cifar10_test_200,note";
                                                        }),
                                                        "table.csv");
    CHECK(of_ten.accuracy("cifar10_test_200") == table.accuracy("accuracy"));
    CHECK(chosen_column(of_ten, "", 10, say) == "cifar10_test_200");
    CHECK(said == 1);
    CHECK_THROWS_AS(chosen_column(of_ten, "", 100, say), Error);
}
