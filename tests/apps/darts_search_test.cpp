// darts_search as its users meet it: whole searches, kills, commands, wrong words.
#include <doctest/doctest.h>

#include <regex>

#include "nas/algo/search_config.h"
#include "tests/apps/search_leavings.h"

using namespace nascent::test;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> smoke_presets() {
    std::vector<std::string> smoke;
    for (const std::string& name : nascent::preset_names())
        if (name.starts_with("smoke/")) smoke.push_back(name);
    return smoke;
}

/// A search of a second on NAS-Bench-201, or of a few on DARTS's space.
std::vector<std::string> small_search(const std::string& preset, const std::string& out,
                                      const std::vector<std::string>& more = {}) {
    std::vector<std::string> a{"run", "--preset", preset, "--out", out};
    if (preset.find("darts") != std::string::npos)
        a.insert(a.end(),
                 {"--channels",
                  preset.find("pcdarts") != std::string::npos || preset.find("drnas") != std::string::npos ? "8" : "2",
                  "--layers", "3", "--size", preset.find("imagenet") != std::string::npos ? "64" : "8", "--epochs", "2",
                  "--synthetic-train", "64"});
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

/// The arguments of a search's next life.
std::function<std::vector<std::string>()> life(const std::string& preset, const std::string& run,
                                               const std::vector<std::string>& more) {
    return [=] {
        return fs::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run}
                                             : small_search(preset, run, more);
    };
}

}  // namespace

TEST_CASE("a search derives an architecture each epoch and leaves what it promises") {
    for (const std::string& preset : smoke_presets()) {
        CAPTURE(preset);
        TemporaryFolder folder;
        const std::string run = folder / "run";
        const bool darts = std::string(preset).find("darts") != std::string::npos;
        const Outcome o = darts_search(small_search(preset, run, {"--json"}));
        INFO(o.err);
        REQUIRE(o.code == 0);
        const json result = json::parse(o.out);
        CHECK(json::parse(read_text(run + "/arch.json")) == result);
        CHECK(result.at("valid").at("accuracy").is_number());
        const std::size_t epochs = darts ? 2 : 3;
        const auto genotypes = records(run, "genotype"), ends = records(run, "epoch");
        REQUIRE(genotypes.size() == epochs + 1);  // before each epoch, and at the end
        REQUIRE(ends.size() == epochs);
        CHECK(genotypes.front().at("step") == 0);
        for (std::size_t e = 0; e < epochs; e++) {
            CHECK(genotypes[e].at("epoch") == e);
            // Pruning between them changes what edges of the space darts weigh against each other.
            if (ends[e].contains("stage") && darts && e == 0) continue;
            CHECK(ends[e].at("genotype") == genotypes[e + 1].at("genotype"));
            CHECK(ends[e].at("skips") == genotypes[e + 1].at("skips"));
        }
        CHECK(genotypes.back().at("genotype") == result.at("genotype"));
        CHECK(genotypes.back().at("alphas") == json::parse(read_text(run + "/export/alphas.json")));
        CHECK(genotypes.front().at("alphas") != genotypes.back().at("alphas"));
        for (const char* end : {"", "/export/alphas.json"}) {
            const std::string path = run + end;
            const Outcome derived = darts_search({"derive", path, "--json"});
            REQUIRE(derived.code == 0);
            CHECK(json::parse(derived.out).at("genotype") == result.at("genotype"));
            CHECK(json::parse(derived.out).at("skips") == result.at("skips"));
        }
        const Outcome shown = darts_search({"show", run, "--out", folder / "pictures", "--json"});
        INFO(shown.err);
        REQUIRE(shown.code == 0);
        for (const json& file : json::parse(shown.out).at("files")) {
            const std::string path = file.get<std::string>(), name = fs::path(path).filename();
            CHECK(read_text(path) == read_text(run + "/export/" + name));
        }
        const Outcome priced = darts_search(
            {"cost", result.at("genotype").get<std::string>(), "--space", darts ? "darts" : "nasbench201"});
        REQUIRE(priced.code == 0);
        CHECK(json::parse(priced.out).at("params") == result.at("params"));
        CHECK(json::parse(priced.out).at("macs") == result.at("macs"));
        // A finished search says its result again, without its pictures; run.toml alone reproduces it.
        const Outcome again = darts_search({"resume", run, "--json"});
        CHECK(again.code == 0);
        CHECK(again.out == o.out);
        const Outcome copy = darts_search({"run", "--config", run + "/run.toml", "--out", folder / "copy"});
        INFO(copy.err);
        REQUIRE(copy.code == 0);
        CHECK(left(folder / "copy") == left(run));
        CHECK(darts_search(small_search(preset, run)).code == 2);
    }
}

TEST_CASE("a search that is killed at any moment goes on to the same bits") {
    for (const std::string& preset : smoke_presets()) {
        CAPTURE(preset);
        TemporaryFolder folder;
        const std::vector<std::string> setting{"--checkpoint-steps", "1"};
        const double whole =
            seconds([&] { REQUIRE(darts_search(small_search(preset, folder / "whole", setting)).code == 0); });
        const std::string run = folder / "killed";
        int kills = 0;
        for (const Outcome& o : disturb(
                 whole, life(preset, run, setting), [](int) { return SIGKILL; }, folder.path(), NASCENT_DARTS_SEARCH)) {
            INFO(o.err);
            REQUIRE((o.code == 0 || o.code == -SIGKILL));
            kills += o.code != 0;
        }
        CHECK(kills >= 3);
        REQUIRE(darts_search({"resume", run}).code == 0);
        CHECK(left(run) == left(folder / "whole"));
    }
}

TEST_CASE("a search that is stopped by SIGTERM, perhaps while it validates, goes on to the same bits") {
    TemporaryFolder folder;
    // Small batches: most of the time goes to validation.
    const std::vector<std::string> setting{"--valid-batch", "1"};
    const char* const preset = "smoke/nb201-1st";
    const double whole =
        seconds([&] { REQUIRE(darts_search(small_search(preset, folder / "whole", setting)).code == 0); });
    const std::string run = folder / "stopped";
    int stops = 0;
    for (const Outcome& o : disturb(
             whole, life(preset, run, setting), [](int) { return SIGTERM; }, folder.path(), NASCENT_DARTS_SEARCH)) {
        INFO(o.err);
        REQUIRE((o.code == 0 || o.code == 75 || o.code == -SIGTERM));
        stops += o.code == 75;
    }
    CHECK(stops >= 1);
    REQUIRE(darts_search({"resume", run}).code == 0);
    CHECK(left(run) == left(folder / "whole"));
}

TEST_CASE("the same seed gives the same search with one and two threads, another seed another") {
    for (const std::string& preset : smoke_presets()) {
        CAPTURE(preset);
        TemporaryFolder folder;
        for (auto [name, more] : {std::pair<const char*, std::vector<std::string>>{"a", {"--threads", "1"}},
                                  {"b", {"--threads", "2", "--loader-workers", "3"}},
                                  {"c", {"--seed", "9"}}})
            REQUIRE(darts_search(small_search(preset, folder / name, more)).code == 0);
        CHECK(left(folder / "a") == left(folder / "b"));
        CHECK(left(folder / "a").weights != left(folder / "c").weights);
        CHECK(left(folder / "a").alphas != left(folder / "c").alphas);
    }
}

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

TEST_CASE("darts_search says what is wrong with a command") {
    TemporaryFolder folder;
    const std::string out = folder / "x";
    struct Wrong {
        std::vector<std::string> arguments;
        int code;
        const char* said;
    };
    write_text(folder / "short.json", "{\"space\":\"nasbench201\",\"arch_parameters\":[[0,0,0,0,0]]}");
    write_text(folder / "nan.json", "{\"space\":\"nasbench201\",\"arch_parameters\":[[NaN]]}");
    write_text(folder / "other.json", "{\"space\":\"nasbench\"}");
    write_text(folder / "half.json", "{\"space\":\"darts\",\"betas_reduce\":[]}");
    write_text(folder / "edges.json", "{\"space\":\"nasbench201\",\"betas_normal\":[]}");
    write_text(
        folder / "pruned.json",
        "{\"space\":\"nasbench201\",\"arch_parameters\":[[null,null,null,null,null],[0,0,0,0,0],[0,0,0,0,0],[0,0,0,0,"
        "0],[0,0,0,0,0],[0,0,0,0,0]]}");
    const std::vector<Wrong> wrongs{
        {{}, 2, "run"},
        {{"serach"}, 2, "did you mean"},
        {{"run", "--preset", "darts/cifar10-3rd"}, 2, "did you mean darts/cifar10-"},
        {{"run", "--set", "preset=smoke/dart-1st"}, 2, "did you mean smoke/darts-1st?"},
        {{"run", "--algo", "dart"}, 2, "did you mean darts?"},
        {{"run", "--space", "nasbench-201"}, 2, "did you mean nasbench201?"},
        {{"run", "--preset", "darts/cifar10-1st"}, 2, "--data"},
        {{"run", "--preset", "smoke/darts-1st", "--ordr", "2"}, 2, "did you mean --order?"},
        {small_search("smoke/nb201-1st", out, {"--split", "nb201"}), 2, "50000"},
        {small_search("smoke/nb201-1st", out, {"--train-part", "0:9"}), 2, "--split parts"},
        {small_search("smoke/nb201-1st", out, {"--split", "parts", "--train-part", "0:64", "--valid-part", "63:99"}), 2,
         "overlap"},
        {small_search("smoke/nb201-1st", out, {"--split", "parts", "--train-part", "0:64", "--valid-part", "64:129"}),
         2, "expected FIRST:LAST"},
        {small_search("smoke/nb201-1st", out, {"--split", "parts", "--train-part", "0-64", "--valid-part", "64:99"}), 2,
         "expected FIRST:LAST"},
        {small_search("smoke/darts-1st", out, {"--size", "9"}), 2, "even"},
        {small_search("smoke/darts-1st", out, {"--layers", "2"}), 2, "3 layers"},
        {small_search("smoke/darts-1st", out, {"--table", "t.csv"}), 2, "nasbench201"},
        {small_search("smoke/nb201-1st", out, {"--table", folder / "none.csv"}), 3, "none.csv"},
        {small_search("smoke/nb201-1st", out, {"--lr", "0.0001"}), 2, "train.lr_min"},
        {{"run", "--algo", "dranas"}, 2, "did you mean drnas?"},
        {small_search("smoke/gdas", out, {"--space", "darts"}), 2, "bare_sums is of the space nasbench201"},
        {small_search("smoke/pcdarts", out, {"--partial", "3"}), 2, "net.partial = 3 does not divide net.channels = 8"},
        {small_search("smoke/pcdarts", out, {"--arch-begin", "2"}), 2, "arch.begin = 2"},
        {small_search("smoke/drnas", out, {"--order", "2"}), 2, "arch.order"},
        {small_search("smoke/snas", out, {"--tau", "0.001"}), 2, "arch.tau_last"},
        {small_search("smoke/nb201-1st", out, {"--arch-kl", "1"}), 2, "arch.kl is of drnas"},
        {{"run", "--preset", "drnas/nb201-cifar100", "--out", out}, 2, "--data"},
        {{"run", "--preset", "drnas/nb201-imagenet16", "--data", "imagenet16:" + (folder / "none"), "--out", out},
         3,
         "none"},
        {{"run", "--preset", "drnas/nb201-progressive", "--out", out}, 2, "--data"},
        {{"run", "--preset", "drnas/cifar10", "--data", "cifar10:" + (folder / "none"), "--out", out}, 3, "none"},
        {small_search("smoke/drnas-progressive", out, {"--partial", "3"}), 2, "net.partial = 3 does not divide"},
        {small_search("smoke/drnas-progressive", out, {"--stages", "1:3:3"}), 2, "K = 3 does not divide"},
        {small_search("smoke/drnas-progressive", out, {"--stages", "1:2:6"}), 2,
         "6 operators are to be left of an edge's 5"},
        {small_search("smoke/drnas-progressive", out, {"--stages", "1:2:0"}), 2, "0 operators are to be left"},
        {small_search("smoke/drnas-progressive", out, {"--stages", "soon"}), 2, "expected EPOCH:K:OPERATORS"},
        {small_search("smoke/drnas", out, {"--space", "darts", "--algo", "snas", "--stages", "1:1:2"}), 2,
         "arch.stages is of drnas"},
        {{"resume", folder / "nothing"}, 2, "run.toml"},
        {{"derive", folder / "nothing"}, 2, "nothing"},
        {{"derive", folder.path()}, 2, "events.jsonl"},
        {{"derive", folder / "short.json"}, 3, "1 rows, expected 6"},
        {{"derive", folder / "nan.json"}, 3, "nan.json"},
        {{"derive", folder / "other.json"}, 3, "did you mean nasbench201?"},
        {{"derive", folder / "half.json"}, 3, "no \"alphas_normal\""},
        {{"derive", folder / "edges.json"}, 3, "no \"arch_parameters\""},
        {{"derive", folder / "pruned.json"}, 1, "all operators of edge 0 were pruned"},
        {{"show", "DARTS_V3"}, 2, "DARTS_V"},
        {{"cost"}, 2, "genotype"},
        {{"cost", "DARTS_V2", "--space", "dart"}, 2, "did you mean darts?"},
        {{"cost", "DARTS_V2", "--data", "cifar"}, 2, "cifar10"},
        {{"cost", "Genotype(normal=[('sep_conv_3x3', 0), ('skip_konnect', 1)])"}, 2, "skip_connect"},
        {{"cost", "Genotype(normal=[('sep_conv_3x3', 0)], normal_concat=[2], reduce=[], reduce_concat=[2])"},
         2,
         "column"},
        {{"cost",
          "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 2)], normal_concat=[2], reduce=[('sep_conv_3x3', 0), "
          "('sep_conv_3x3', 1)], reduce_concat=[2])"},
         2,
         "2"},
        {{"cost", "DARTS_V2", "--size", "30"}, 2, "even"},
    };
    for (const Wrong& w : wrongs) {
        std::string line;
        for (const std::string& a : w.arguments) line += a + " ";
        CAPTURE(line);
        const Outcome o = darts_search(w.arguments);
        INFO(o.err);
        CHECK(o.code == w.code);
        CHECK(o.err.find(w.said) != std::string::npos);
        CHECK(!fs::exists(out));
    }
    for (const char* command : {"run", "resume", "derive", "show", "cost"})
        CHECK(darts_search({command, "--help"}).code == 0);
}

TEST_CASE("costs of published cells are those of the papers' networks") {
    const Outcome v2 =
        darts_search({"cost", "DARTS_V2", "--channels", "36", "--layers", "20", "--data", "cifar10", "--auxiliary"});
    REQUIRE(v2.code == 0);
    const json c = json::parse(v2.out);
    CHECK(c.at("params") == 3'349'342);
    CHECK(c.at("params_with_auxiliary") == 3'825'768);
    CHECK(c.at("macs").at("mac") == 528'359'040);
    const Outcome v1 = darts_search({"cost", "DARTS_V1", "--data", "imagenet"});
    CHECK(json::parse(v1.out).at("params") == 4'510'432);
    CHECK(json::parse(v1.out).at("macs").at("conv") == 505'096'704);
}
