// darts_search as its users meet it: whole searches, stopped and killed.
#include <doctest/doctest.h>

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
        const json files = json::parse(shown.out).at("files");
        for (const json& file : files) {
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
