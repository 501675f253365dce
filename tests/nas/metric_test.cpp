#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/metric/angle.h"
#include "nas/metric/correlation.h"
#include "nas/metric/table.h"

using namespace nascent;
using nb201::Architecture;
using nb201::kArchitectures;
using nb201::kEdges;
using nb201::Op;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

/// Numbers 0..distinct-1, so that lists longer than that have ties.
std::vector<double> random_list(std::size_t n, std::uint32_t distinct, std::uint64_t seed) {
    std::vector<double> list(n);
    for (std::size_t i = 0; i < n; ++i) {
        list[i] = Random(seed, RandomStream::test, distinct, static_cast<std::uint32_t>(i)).below(0, distinct);
    }
    return list;
}

struct Counts {
    std::int64_t concordant = 0, discordant = 0, tied_a = 0, tied_b = 0, tied_both = 0, all = 0;
};
Counts count_pairs(const std::vector<double>& a, const std::vector<double>& b) {
    Counts c;
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            bool ta = a[i] == a[j], tb = b[i] == b[j];
            c.tied_a += ta;
            c.tied_b += tb;
            c.tied_both += ta && tb;
            if (!ta && !tb) ++((a[i] < a[j]) == (b[i] < b[j]) ? c.concordant : c.discordant);
            ++c.all;
        }
    }
    return c;
}

/// Rank of each element by counting who is before it: bigger, or equal and earlier.
std::vector<double> ordinal_by_counting(const std::vector<double>& v) {
    std::vector<double> ranks(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) {
        for (std::size_t j = 0; j < v.size(); ++j) ranks[i] += v[j] > v[i] || (v[j] == v[i] && j < i);
    }
    return ranks;
}
std::vector<double> average_by_counting(const std::vector<double>& v) {
    std::vector<double> ranks(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) {
        for (std::size_t j = 0; j < v.size(); ++j) ranks[i] += v[j] > v[i] ? 1 : v[j] == v[i] ? 0.5 : 0;
    }
    return ranks;
}
double pearson(const std::vector<double>& a, const std::vector<double>& b) {
    auto n = static_cast<double>(a.size());
    double ma = std::accumulate(a.begin(), a.end(), 0.0) / n, mb = std::accumulate(b.begin(), b.end(), 0.0) / n;
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return ab / std::sqrt(aa) / std::sqrt(bb);
}

}  // namespace

TEST_CASE("rank correlations against counting all pairs") {
    for (std::size_t n : {2u, 3u, 5u, 17u, 64u, 257u, 500u}) {
        for (std::uint32_t distinct : {2u, 3u, 10u, 1000000u}) {
            CAPTURE(n);
            CAPTURE(distinct);
            std::vector<double> a = random_list(n, distinct, 1), b = random_list(n, distinct, 2);
            Counts c = count_pairs(a, b);
            Counts o = count_pairs(ordinal_by_counting(a), ordinal_by_counting(b));
            CHECK((o.tied_a == 0 && o.tied_b == 0));
            auto all = static_cast<double>(c.all);
            Correlation ordinal = kendall_tau_ordinal(a, b);
            CHECK(ordinal.value ==
                  static_cast<double>(o.concordant - o.discordant) / all);  // both exact up to the division
            CHECK(ordinal.used == static_cast<std::int64_t>(n));
            CHECK(ordinal.dropped == 0);

            Correlation tau_b = kendall_tau_b(a, b);
            Correlation rho = spearman_rho(a, b);
            if (c.tied_a == c.all || c.tied_b == c.all) {
                CHECK(std::isnan(tau_b.value));
                CHECK(std::isnan(rho.value));
                continue;
            }
            double expected = static_cast<double>(c.concordant - c.discordant) /
                              std::sqrt(static_cast<double>(c.all - c.tied_a) * static_cast<double>(c.all - c.tied_b));
            CHECK(std::abs(tau_b.value - expected) <= 6 * kEpsilon);  // six roundings of a value of at most 1
            // Three sums of n products and as many roundings around them.
            CHECK(std::abs(rho.value - pearson(average_by_counting(a), average_by_counting(b))) <=
                  (6.0 * static_cast<double>(n) + 20) * kEpsilon);
        }
    }
}

TEST_CASE("rank correlations by hand") {
    const std::vector<double> up = {1, 2, 3, 4, 5}, down = {5, 4, 3, 2, 1};
    CHECK(kendall_tau_ordinal(up, up).value == 1);
    CHECK(kendall_tau_ordinal(up, down).value == -1);
    CHECK(kendall_tau_b(up, down).value == doctest::Approx(-1));
    CHECK(spearman_rho(up, down).value == doctest::Approx(-1));
    // 12 2 1 12 2 against 1 4 7 1 0: the example of SciPy's kendalltau, -0.47140452079103173.
    const std::vector<double> x = {12, 2, 1, 12, 2}, y = {1, 4, 7, 1, 0};
    CHECK(kendall_tau_b(x, y).value == doctest::Approx(-0.47140452079103173).epsilon(1e-15));
    // Ranks of x: 1 3 5 2 4, of y: 3 2 1 4 5. Of ten pairs, four agree.
    CHECK(kendall_tau_ordinal(x, y).value == doctest::Approx(-0.2).epsilon(1e-15));
    // Two constant lists: all ties are broken alike.
    const std::vector<double> flat(4, 7.0);
    CHECK(kendall_tau_ordinal(flat, flat).value == 1);
    CHECK(std::isnan(kendall_tau_b(flat, std::vector<double>{1, 2, 3, 4}).value));
    CHECK(std::isnan(spearman_rho(std::vector<double>{1, 2, 3, 4}, flat).value));
}

TEST_CASE("NaN scores are dropped and counted, other nonsense refused") {
    const std::vector<double> truth = {9, 1, 5, 3, 7}, score = {5, kNaN, 4, 1, kNaN};
    for (auto f : {kendall_tau_ordinal, kendall_tau_b, spearman_rho}) {
        Correlation c = f(truth, score);
        CHECK(c.value == doctest::Approx(1));
        CHECK(c.used == 3);
        CHECK(c.dropped == 2);
        CHECK(std::isnan(f({}, {}).value));
        CHECK(std::isnan(f(std::vector<double>{1}, std::vector<double>{1}).value));
        CHECK_THROWS_AS(f(truth, std::vector<double>{1}), Error);
        CHECK_THROWS_AS(f(score, truth), Error);
    }
    CHECK(rank_descending(std::vector<double>{kNaN, 1, 3, kNaN, 3, -1}) == std::vector<int>{2, 4, 1, 5, 0, 3});
}

TEST_CASE("regret and overlap of the best scored") {
    const std::vector<double> truth = {10, 90, 80, 70, 60, 95}, score = {6, 5, 4, 3, 2, kNaN};
    TopK one = top_k(truth, score, 1);
    CHECK(one.regret == 80);  // the 95 has no score and is out of the game
    CHECK(one.overlap == 0);
    CHECK(one.dropped == 1);
    TopK three = top_k(truth, score, 3);
    CHECK(three.regret == 0);
    CHECK(three.overlap == 2);
    CHECK(three.precision == doctest::Approx(2.0 / 3));
    TopK all = top_k(truth, score, 100);
    CHECK(all.k == 5);
    CHECK(all.precision == 1);
    CHECK_THROWS_AS(top_k(truth, score, 0), Error);
    CHECK_THROWS_AS(top_k(std::vector<double>{1}, std::vector<double>{kNaN}, 1), Error);
}

namespace {

AngleRules rules_of(bool pool, bool eye, bool fixed_only) {
    AngleRules rules;
    rules.pool = pool;
    if (eye) rules.identity = AngleRules::Identity::eye;
    if (fixed_only) rules.blocked = AngleRules::Blocked::fixed_only;
    return rules;
}

const std::vector<std::vector<int>> kPaths = {{0, 3}, {0, 2, 3}, {0, 1, 2, 3}, {0, 1, 3}};

bool open(const Architecture& arch, const std::vector<int>& path) {
    for (std::size_t i = 1; i < path.size(); ++i) {
        if (arch.on(path[i], path[i - 1]) == Op::none) return false;
    }
    return true;
}

/// Weights of a small supernet: by cell, edge and operator; initial and trained.
struct Weights {
    struct Block {
        std::vector<double> w0, w1;
    };
    std::vector<int> channels;
    std::vector<std::array<std::array<Block, nb201::kOps>, kEdges>> cells;
    Block fixed;
};

Weights random_weights(const std::vector<int>& channels) {
    Weights w;
    w.channels = channels;
    std::uint32_t drawn = 0;
    auto fill = [&](Weights::Block& block, int n) {
        for (int i = 0; i < n; ++i, ++drawn) {
            Random r(7, RandomStream::test, 0, drawn);
            double start = r.uniform(0) - 0.5;
            block.w0.push_back(start);
            block.w1.push_back(0.4 * start + r.uniform(1) - 0.5);
        }
    };
    fill(w.fixed, 40);
    for (int c : channels) {
        auto& cell = w.cells.emplace_back();
        for (auto& edge : cell) {
            fill(edge[2], c * c);
            fill(edge[3], 9 * c * c);
        }
    }
    return w;
}

AngleSums sums_of(const Weights::Block& b) {
    AngleSums s;
    for (std::size_t i = 0; i < b.w0.size(); ++i) s += {b.w0[i] * b.w1[i], b.w0[i] * b.w0[i], b.w1[i] * b.w1[i]};
    return s;
}

Nb201AngleTable table_of(const Weights& w) {
    Nb201AngleTable table;
    table.fixed = sums_of(w.fixed);
    for (std::size_t c = 0; c < w.cells.size(); ++c) {
        auto& cell = table.cells.emplace_back();
        cell.channels = w.channels[c];
        for (std::size_t e = 0; e < kEdges; ++e) {
            for (std::size_t op = 0; op < nb201::kOps; ++op) cell.ops[e][op] = sums_of(w.cells[c][e][op]);
        }
    }
    return table;
}

/// The vectors as the definition has them: path by path, cell by cell, edge by edge.
Weights::Block concatenate(const Weights& w, const Architecture& arch, const AngleRules& rules) {
    Weights::Block all = w.fixed;
    auto constant = [&](int n, double value) {
        all.w0.insert(all.w0.end(), static_cast<std::size_t>(n), value);
        all.w1.insert(all.w1.end(), static_cast<std::size_t>(n), value);
    };
    for (const auto& path : kPaths) {
        if (!open(arch, path)) continue;
        for (std::size_t c = 0; c < w.cells.size(); ++c) {
            for (std::size_t i = 1; i < path.size(); ++i) {
                auto e = static_cast<std::size_t>(nb201::edge_index(path[i], path[i - 1]));
                Op op = arch.ops[e];
                const auto& block = w.cells[c][e][static_cast<std::size_t>(op)];
                all.w0.insert(all.w0.end(), block.w0.begin(), block.w0.end());
                all.w1.insert(all.w1.end(), block.w1.begin(), block.w1.end());
                int channels = w.channels[c];
                if (op == Op::avg_pool_3x3 && rules.pool) constant(9 * channels, 1.0 / 9);
                if (op == Op::skip_connect && rules.identity == AngleRules::Identity::eye) {
                    for (int r = 0; r < channels; ++r) {
                        constant(r, 0);
                        constant(1, 1);
                        constant(channels - 1 - r, 0);
                    }
                }
            }
        }
    }
    return all;
}

/// A table of random sums for a network of the benchmark's size; values of different operators are unrelated.
Nb201AngleTable random_table() {
    Nb201AngleTable table;
    std::uint32_t drawn = 0;
    auto sums = [&](double scale) {
        Random r(11, RandomStream::test, 0, drawn++);
        double n0 = scale * (1 + r.uniform(0)), n1 = scale * (1 + r.uniform(1));
        return AngleSums{0.3 * std::sqrt(n0 * n1), n0, n1};
    };
    table.fixed = sums(100);
    for (int stage = 0; stage < 3; ++stage) {
        for (int i = 0; i < 5; ++i) {
            auto& cell = table.cells.emplace_back();
            cell.channels = 16 << stage;
            for (auto& edge : cell.ops) {
                edge[2] = sums(10);
                edge[3] = sums(10);
            }
        }
    }
    return table;
}

}  // namespace

TEST_CASE("edge multiplicities are counts of paths") {
    CHECK(edge_multiplicities(nb201::parse_architecture("(1,1,1,1,1,1)")) == std::array<int, 6>{2, 1, 1, 1, 1, 2});
    for (int id = 0; id < kArchitectures; ++id) {
        Architecture arch = Architecture::from_id(id);
        std::array<int, kEdges> times{};
        for (const auto& path : kPaths) {
            if (!open(arch, path)) continue;
            for (std::size_t i = 1; i < path.size(); ++i) {
                ++times[static_cast<std::size_t>(nb201::edge_index(path[i], path[i - 1]))];
            }
        }
        CHECK(edge_multiplicities(arch) == times);
    }
}

TEST_CASE("the table's angle is that of the concatenated vectors") {
    Weights weights = random_weights({2, 3, 4});
    Nb201AngleTable table = table_of(weights);
    for (int rule = 0; rule < 8; ++rule) {
        AngleRules rules = rules_of(rule & 1, rule & 2, rule & 4);
        Nb201Angle angle(table, rules);
        for (int id = rule % 5; id < kArchitectures; id += 5) {
            Architecture arch = Architecture::from_id(id);
            double got = angle.angle(arch);
            if (!nb201::is_connected(arch) && rules.blocked == AngleRules::Blocked::zero) {
                CHECK(got == 0);
                continue;
            }
            Weights::Block all = concatenate(weights, arch, rules);
            AngleSums s = sums_of(all);
            double cosine = s.dot / std::sqrt(s.n0 * s.n1), expected = std::acos(cosine);
            // Each sum of n products of like size errs by at most (n + 1) eps of the sum of their sizes; the cosine's
            // error counts 1 / sin(angle) times.
            double sizes = 0;
            for (std::size_t i = 0; i < all.w0.size(); ++i) sizes += std::abs(all.w0[i] * all.w1[i]);
            auto n = static_cast<double>(all.w0.size());
            double bound =
                2 * (n + 4) * kEpsilon * (sizes / std::sqrt(s.n0 * s.n1) + std::abs(cosine)) / std::sin(expected);
            CHECK(std::abs(got - expected) <= bound);
            CHECK(bound < 1e-10);
        }
    }
}

TEST_CASE("ties of the angle over the space") {
    Nb201AngleTable table = random_table();
    Nb201Angle zero(table), fixed_only(table, rules_of(true, false, true));
    std::vector<double> angles = zero.all_angles(), other = fixed_only.all_angles();
    double fixed = angle_of(table.fixed);
    std::map<double, int> groups;
    int blocked = 0, only_fixed = 0;
    for (std::size_t id = 0; id < angles.size(); ++id) {
        ++groups[angles[id]];
        Architecture arch = Architecture::from_id(static_cast<int>(id));
        bool connected = nb201::is_connected(arch);
        blocked += angles[id] == 0;
        only_fixed += other[id] == fixed;
        CHECK((angles[id] == 0) == !connected);
        if (connected) CHECK(angles[id] == other[id]);
    }
    CHECK(angles.size() == 15625);
    CHECK(blocked == 341);
    CHECK(groups.size() == 3850);
    int largest = 0;
    for (const auto& g : groups) largest = std::max(largest, g.second);
    CHECK(largest == 668);
    MESSAGE("fixed only: " << only_fixed << ", connected ones " << groups[fixed]);
    CHECK(groups[fixed] == 467);
    CHECK(only_fixed == 341 + 467);
}

TEST_CASE("the formula at its edges") {
    CHECK(angle_of({0, 1, 1}) == doctest::Approx(std::acos(0.0)));
    CHECK(angle_of({-1, 1, 1}) == doctest::Approx(std::acos(-1.0)));
    CHECK(angle_of({1, 1, 1}) == 0);
    CHECK(angle_of({1 + 1e-15, 1, 1}) == 0);  // lifted by rounding
    CHECK(angle_of({0, 0, 0}) == doctest::Approx(std::acos(0.0)));
    CHECK(angle_of({5e-9, 1e-9, 1e-9}) == doctest::Approx(std::acos(0.5)));  // the floor of 1e-16 under the root
    CHECK(std::isnan(angle_of({kNaN, 1, 1})));
    CHECK(std::isnan(angle_of({1, kNaN, 1})));
    CHECK(std::isnan(angle_of({1, 1, kNaN})));
    CHECK_THROWS_AS(Nb201Angle({.cells = {Nb201AngleTable::Cell{}}, .fixed = {}}), Error);
}

TEST_CASE("ranking the whole space takes far less than a second") {
    Nb201AngleTable table = random_table();
    auto start = std::chrono::steady_clock::now();
    std::vector<int> order = rank_descending(Nb201Angle(table).all_angles());
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    CHECK(order.size() == 15625);
    CHECK(seconds.count() < 1);
    MESSAGE("15 625 angles ranked in " << 1e3 * seconds.count() << " ms");
}

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
    try {
        BenchmarkTable::parse(text, "table.csv").accuracy(column);
    } catch (const Error& e) {
        CHECK(e.kind() == kind);
        CHECK(std::string(e.what()).find("table.csv") != std::string::npos);
        return e.what();
    }
    return "no error";
}

bool has(const std::string& text, const std::string& part) {
    CAPTURE(text);
    bool found = text.find(part) != std::string::npos;
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
    const char* folder = std::getenv("NASCENT_DATA_DIR");
    std::string path = folder ? std::string(folder) + "/nasbench201.csv" : std::string();
    if (path.empty() || !std::filesystem::exists(path)) {
        MESSAGE("[SKIPPED] no nasbench201.csv in NASCENT_DATA_DIR");
        return;
    }
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
    // On real values, ties and all, against counting the 122 million pairs.
    std::vector<double> a = table.accuracy("cifar10_test_200"), b = table.accuracy("cifar100_test_200");
    Counts c = count_pairs(a, b);
    double expected = static_cast<double>(c.concordant - c.discordant) /
                      std::sqrt(static_cast<double>(c.all - c.tied_a) * static_cast<double>(c.all - c.tied_b));
    CHECK(c.tied_a > 0);
    CHECK(std::abs(kendall_tau_b(a, b).value - expected) <= 6 * kEpsilon);
}
