// What each algorithm of darts_search does and says in whole searches.
#include <doctest/doctest.h>

#include <algorithm>
#include <regex>

#include "tests/apps/search_leavings.h"

using namespace nascent::test;
namespace fs = std::filesystem;

TEST_CASE("PC-DARTS moves its alphas and betas after a warm-up, and validates at the end alone") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    REQUIRE(darts_search(small_search("smoke/pcdarts", run, {"--epochs", "3", "--arch-begin", "2"})).code == 0);
    const auto genotypes = records(run, "genotype"), ends = records(run, "epoch");
    REQUIRE(genotypes.size() == 4);
    CHECK(genotypes[2].at("alphas") == genotypes[0].at("alphas"));
    for (const char* moved : {"alphas_normal", "alphas_reduce", "betas_normal", "betas_reduce"}) {
        CAPTURE(moved);
        const json &before = genotypes[2].at("alphas").at(moved), after = genotypes[3].at("alphas").at(moved);
        REQUIRE(before.size() == 14);
        for (std::size_t e = 0; e < 14; e++) CHECK(before[e] != after[e]);
    }
    for (std::size_t e = 0; e < 3; e++) CHECK(ends[e].contains("valid") == (e == 2));
    CHECK(ends[0].at("arch_loss") == 0);
    // A search that stops before its last epoch validates then.
    const std::string stopped = folder / "stopped";
    const Outcome o = darts_search(
        small_search("smoke/pcdarts", stopped,
                     {"--epochs", "4", "--arch-begin", "0", "--collapse-skips", "1", "--stop-on-collapse"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(read_text(stopped + "/arch.json"));
    CHECK(result.at("valid").at("accuracy").is_number());
    CHECK(darts_search({"resume", stopped}).code == 0);
    // The random variant mixes no channels as it was released, and as it was meant all of them, anew each forward.
    for (const char* threads : {"1", "2"})
        REQUIRE(darts_search(small_search("smoke/pcdarts", folder / ("random" + std::string(threads)),
                                          {"--random-order", "--threads", threads}))
                    .code == 0);
    CHECK(left(folder / "random1") == left(folder / "random2"));
    REQUIRE(darts_search(small_search("smoke/pcdarts", folder / "plain", {"--no-shuffle"})).code == 0);
    REQUIRE(darts_search(small_search("smoke/pcdarts", folder / "usual")).code == 0);
    CHECK(left(folder / "plain").weights != left(folder / "usual").weights);
    CHECK(left(folder / "random1").weights != left(folder / "usual").weights);
    CHECK(left(folder / "random1").weights != left(folder / "plain").weights);
}

TEST_CASE("a progressive search prunes and widens at its stages, and says so") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o = darts_search(small_search("smoke/drnas-progressive", run, {"--stages", "1:2:3,2:1:1"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const std::string log = read_text(run + "/log.txt");
    for (const char* said : {"stage 2 of 3: operators see one channel in 2, 3 of an edge are left",
                             "stage 3 of 3: operators see one channel in 1, 1 of an edge are left"}) {
        CHECK(o.err.find(said) != std::string::npos);
        CHECK(log.find(said) != std::string::npos);
    }
    CHECK(std::regex_search(log, std::regex("  3<-2:( [a-z0-9_]+){3}\n")));
    const auto stages = records(run, "stage"), ends = records(run, "epoch"), genotypes = records(run, "genotype");
    REQUIRE((stages.size() == 2 && ends.size() == 3 && genotypes.size() == 4));
    const int left_of_edge[] = {5, 3, 1};
    for (std::size_t e = 0; e < 3; e++) {
        CHECK(ends[e].at("stage") == e + 1);
        CHECK(ends[e].at("operators") == std::vector<int>(6, left_of_edge[e]));
        // The alphas that are left, before the epoch and at its end.
        for (const json& row : genotypes[e].at("alphas").at("arch_parameters")) {
            CHECK(row.size() == 5);
            CHECK(std::count_if(row.begin(), row.end(), [](const json& v) { return v.is_number(); }) ==
                  left_of_edge[e]);
        }
    }
    for (std::size_t s = 0; s < 2; s++) {
        CHECK(stages[s].at("epoch") == s + 1);
        CHECK(stages[s].at("stage") == s + 2);
        CHECK(stages[s].at("edges").size() == 6);
    }
    // The rate as released and as meant; how operators become wider.
    CHECK(ends[1].at("lr") == doctest::Approx(0.025));
    for (auto [name, more] : {std::pair<const char*, std::vector<std::string>>{"meant", {"--lr-stages", "continue"}},
                              {"net2wider", {"--widening", "net2wider"}}}) {
        REQUIRE(darts_search(small_search("smoke/drnas-progressive", folder / name, more)).code == 0);
        CHECK(left(folder / name).weights != left(run).weights);
    }
    CHECK(records(folder / "meant", "epoch")[1].at("lr").get<double>() < 0.02);
    // Alphas wait at the start of each stage.
    REQUIRE(darts_search(small_search("smoke/drnas-progressive", folder / "waits",
                                      {"--epochs", "4", "--stages", "2:2:3", "--arch-begin", "1"}))
                .code == 0);
    const auto waits = records(folder / "waits", "genotype");
    REQUIRE(waits.size() == 5);
    auto alphas_after = [&](std::size_t epochs) { return waits[epochs].at("alphas").at("arch_parameters"); };
    CHECK(alphas_after(1) == alphas_after(0));
    CHECK(alphas_after(2) != alphas_after(1));
    CHECK(alphas_after(3) == alphas_after(2));
    CHECK(alphas_after(4) != alphas_after(3));
    // Of one operator an edge the last stage's derivation is what is left.
    const std::string genotype = ends[2].at("genotype").get<std::string>();
    for (const auto& edge : stages[1].at("edges")) {
        const std::string text = edge.get<std::string>();
        CHECK(genotype.find(text.substr(text.find(": ") + 2) + "~" + text.substr(3, 1)) != std::string::npos);
    }
}

TEST_CASE("PC-DARTS searches NAS-Bench-201, edges weighed") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o =
        darts_search({"run", "--preset", "smoke/pcdarts", "--space", "nasbench201", "--arch-begin", "0", "--out", run});
    INFO(o.err);
    REQUIRE(o.code == 0);
    const auto genotypes = records(run, "genotype");
    for (const char* moved : {"arch_parameters", "betas"}) {
        const json &before = genotypes.front().at("alphas").at(moved), after = genotypes.back().at("alphas").at(moved);
        REQUIRE(before.size() == 6);
        for (std::size_t e = 1; e < 6; e++) CHECK(before[e] != after[e]);
    }
    // Node 1 has one edge, whose share is 1 whatever its beta: only its decay moves it.
    const Outcome derived = darts_search({"derive", run});
    CHECK(derived.code == 0);
}

TEST_CASE("random search takes the best of its candidates, at the end or after each epoch") {
    TemporaryFolder folder;
    write_table(folder / "table.csv");
    // Weights that coast are brought up to date where a candidate reads them, which rounds.
    const std::vector<std::string> table{"--table", folder / "table.csv", "--inactive", "skip"};
    auto with = [&](std::vector<std::string> more) {
        more.insert(more.end(), table.begin(), table.end());
        return more;
    };
    REQUIRE(darts_search(small_search("smoke/rsps", folder / "end", table)).code == 0);
    REQUIRE(darts_search(small_search("smoke/rsps", folder / "each", with({"--choose-last", "0"}))).code == 0);
    REQUIRE(darts_search(small_search("smoke/rsps", folder / "one", with({"--candidates", "1"}))).code == 0);
    const auto end = records(folder / "end", "genotype"), each = records(folder / "each", "genotype");
    REQUIRE(end.size() == 4);
    // Nothing is chosen before the end; afterwards the choice does not depend on earlier ones.
    for (int e : {1, 2}) CHECK(end[static_cast<std::size_t>(e)].at("alphas") == end[0].at("alphas"));
    for (const json& record : records(folder / "end", "epoch"))
        CHECK(record.contains("table") == (record.at("epoch") == 3));
    for (const json& record : records(folder / "each", "epoch")) CHECK(record.contains("table"));
    CHECK(end[3].at("alphas") != end[0].at("alphas"));
    CHECK(end[3].at("alphas") == each[3].at("alphas"));
    CHECK(each[1].at("alphas") != each[0].at("alphas"));
    for (const json& row : end[3].at("alphas").at("arch_parameters")) {
        double sum = 0;
        for (double x : row) sum += x;
        CHECK(sum == 1);
    }
    CHECK(left(folder / "end").weights == left(folder / "each").weights);
    CHECK(left(folder / "end").weights == left(folder / "one").weights);
    CHECK(left(folder / "end").alphas != left(folder / "one").alphas);
    const json result = json::parse(read_text(folder / "end" + "/arch.json"));
    CHECK(result.at("genotype") == end[3].at("genotype"));
    CHECK(result.at("collapsed") == false);
    CHECK(read_text(folder / "end" + "/log.txt").find("of 20 candidates after 3 epochs") != std::string::npos);
}

TEST_CASE("twin passes give the same bits with one and two threads, and others than two passes") {
    TemporaryFolder folder;
    for (auto [name, more] : {std::pair<const char*, std::vector<std::string>>{"a", {"--arch-twin", "off"}},
                              {"d", {"--arch-twin", "on", "--threads", "1"}},
                              {"e", {"--arch-twin", "on", "--threads", "2"}}})
        REQUIRE(darts_search(small_search("smoke/nb201-2nd", folder / name, more)).code == 0);
    CHECK(left(folder / "d") == left(folder / "e"));
    CHECK(left(folder / "a").weights != left(folder / "d").weights);  // two passes in one round otherwise
}

TEST_CASE("concentrations out of the range of the gradients end a search with the edge's name") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o = darts_search(small_search("smoke/drnas", run, {"--arch-lr", "40"}));
    CHECK(o.code == 1);
    CHECK(o.err.find("concentration") != std::string::npos);
    CHECK(std::regex_search(o.err, std::regex("edge [123]<-[012], operator (none|skip|nor_conv|avg_pool)")));
    CHECK(o.err.find("arch.lr") != std::string::npos);
    CHECK(!fs::exists(run + "/arch.json"));
}

TEST_CASE("the regularisers and the clean gradients of the sampled searches") {
    TemporaryFolder folder;
    REQUIRE(darts_search(small_search("smoke/drnas", folder / "l2")).code == 0);
    REQUIRE(darts_search(small_search("smoke/drnas", folder / "kl", {"--arch-kl", "1e-3", "--arch-weight-decay", "0"}))
                .code == 0);
    CHECK(left(folder / "l2").alphas != left(folder / "kl").alphas);
    REQUIRE(darts_search(small_search("smoke/gdas", folder / "bare")).code == 0);
    REQUIRE(darts_search(small_search("smoke/gdas", folder / "clean", {"--no-bare-sums"})).code == 0);
    CHECK(left(folder / "bare").alphas != left(folder / "clean").alphas);
}

TEST_CASE("with a table a search on NAS-Bench-201 says the true accuracy and rank each epoch") {
    TemporaryFolder folder;
    write_table(folder / "table.csv");
    const std::string run = folder / "run";
    const Outcome o = darts_search(small_search("smoke/nb201-1st", run, {"--table", folder / "table.csv", "--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    std::vector<double> all;
    auto accuracy = [](const nascent::nb201::Architecture& a) {
        double sum = 50;  // as write_table
        for (auto op : a.ops) sum += 2.0 * (static_cast<int>(op) % 4);
        return sum;
    };
    for (int i = 0; i < nascent::nb201::kArchitectures; i++)
        all.push_back(accuracy(nascent::nb201::Architecture::from_id(i)));
    for (const json& record : records(run, "epoch")) {
        const double own = accuracy(nascent::nb201::parse_architecture(record.at("genotype").get<std::string>()));
        CHECK(record.at("table").at("accuracy") == own);
        CHECK(record.at("table").at("rank") ==
              1 + std::count_if(all.begin(), all.end(), [&](double t) { return t > own; }));
    }
    CHECK(json::parse(o.out).at("table") == records(run, "epoch").back().at("table"));
    CHECK(o.err.find("rank") != std::string::npos);
}

TEST_CASE("DrNAS with a table draws the range of sampled architectures over the epochs") {
    TemporaryFolder folder;
    write_table(folder / "table.csv");
    const std::string run = folder / "run";
    REQUIRE(darts_search(small_search("smoke/drnas", run, {"--table", folder / "table.csv"})).code == 0);
    const auto epochs = records(run, "epoch");
    for (const json& record : epochs) {
        const json& s = record.at("table").at("sampled");
        // The table's accuracies are 50 plus an even number up to 36; nearly uniform draws spread over it.
        CHECK(s.at("least").get<double>() >= 50);
        CHECK(s.at("most").get<double>() <= 86);
        CHECK(s.at("least").get<double>() < s.at("mean").get<double>());
        CHECK(s.at("mean").get<double>() < s.at("most").get<double>());
        // The mean of op % 4 over the five is 6 / 5, its deviation 1.17; times 2, six edges, 100 draws.
        CHECK(std::abs(s.at("mean").get<double>() - 64.4) < 5 * 2 * 1.17 * std::sqrt(6.0 / 100));
    }
    CHECK(epochs[0].at("table").at("sampled") != epochs[1].at("table").at("sampled"));
    const std::string plot = read_text(run + "/export/range.svg");
    CHECK(plot.find("<polygon") != std::string::npos);
    CHECK(plot.ends_with("</svg>\n"));
    REQUIRE(darts_search({"show", run, "--out", folder / "pictures"}).code == 0);
    CHECK(read_text(folder / "pictures/range.svg") == plot);
    const std::string other = folder / "other";
    REQUIRE(darts_search(small_search("smoke/snas", other, {"--table", folder / "table.csv"})).code == 0);
    CHECK(!fs::exists(other + "/export/range.svg"));
}

TEST_CASE("a collapse is said once, and ends a search that is to stop at it") {
    TemporaryFolder folder;
    auto collapsing = [&](const std::string& name, const std::vector<std::string>& more) {
        // Every cell has at least none: with one skip-connect enough, seed 2's first epoch collapses.
        std::vector<std::string> a{"--collapse-skips", "1"};
        a.insert(a.end(), more.begin(), more.end());
        return darts_search(small_search("smoke/darts-1st", folder / name, a));
    };
    const Outcome warned = collapsing("warned", {});
    REQUIRE(warned.code == 0);
    int first = -1;
    for (const json& r : records(folder / "warned", "epoch"))
        if (first < 0 && r.at("collapsed").get<bool>()) first = r.at("epoch").get<int>();
    REQUIRE(first > 0);
    const std::size_t at = warned.err.find("the search has collapsed");
    REQUIRE(at != std::string::npos);
    CHECK(warned.err.find("the search has collapsed", at + 1) == std::string::npos);
    REQUIRE(collapsing("stopped", {"--stop-on-collapse"}).code == 0);
    const json result = json::parse(read_text(folder / "stopped/arch.json"));
    CHECK(result.at("epochs") == first);
    CHECK(result.at("stopped") == true);
    CHECK(result.at("genotype") ==
          records(folder / "warned", "epoch")[static_cast<std::size_t>(first) - 1].at("genotype"));
    CHECK(darts_search({"resume", folder / "stopped"}).code == 0);
}

TEST_CASE("alphas that are not finite end a search with its last good checkpoint") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o =
        darts_search(small_search("smoke/nb201-1st", run, {"--arch-lr", "1e300", "--checkpoint-steps", "1"}));
    CHECK(o.code == 1);
    CHECK(o.err.find("arch.lr") != std::string::npos);
    CHECK(newest_checkpoint(run).ends_with("step-000000000"));
    CHECK(!fs::exists(run + "/arch.json"));
    CHECK(darts_search({"resume", run}).code == 1);  // the same again
}
