// rlnas as its users meet it: whole runs, commands, wrong words.
#include <doctest/doctest.h>

#include "tests/apps/program.h"

using namespace nascent::test;

TEST_CASE("a run trains, searches, ranks, and leaves what it promises") {
    TemporaryFolder folder;
    write_table(folder / "table.csv");
    const std::string run = folder / "run";
    const Outcome o = rlnas(small_run(run, {"--table", folder / "table.csv", "--method", "both", "--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json result = json::parse(o.out);
    const auto arch = nascent::nb201::parse_architecture(result.at("arch").get<std::string>());
    CHECK(nascent::nb201::official_index(arch) == result.at("index"));
    CHECK(result.at("params").is_number_integer());
    CHECK(result.at("macs").at("nb201").is_number_integer());
    const Outcome priced = rlnas({"cost", result.at("arch").get<std::string>(), "--json"});
    REQUIRE(priced.code == 0);
    for (const char* key : {"macs", "params"}) CHECK(json::parse(priced.out).at(key) == result.at(key));
    const json& net = result.at("net");  // the run's own
    const Outcome own = rlnas(
        {"cost", result.at("arch").get<std::string>(), "--size", "16", "--channels", "4", "--cells", "1", "--json"});
    REQUIRE(own.code == 0);
    for (const char* key : {"macs", "params"}) CHECK(json::parse(own.out).at(key) == net.at(key));
    CHECK(net.at("params") < result.at("params"));
    CHECK(net.at("channels") == 4);
    CHECK(net.at("cells") == 1);
    CHECK(net.at("size") == 16);
    CHECK(result.at("searches").size() == 2);
    CHECK(result.at("searches")[0].at("angle") <=
          result.at("searches")[1].at("angle"));  // nothing beats looking at all
    CHECK(json::parse(read_text(run + "/arch.json")) == result);
    for (const char* f : {"run.toml", "LOCK", "events.jsonl", "log.txt", "export/init.safetensors",
                          "export/final.safetensors", "export/cell.svg", "export/cell.dot", "export/angles.csv"})
        CHECK_MESSAGE(std::filesystem::exists(run + "/" + f), f);
    CHECK(result.at("table").at("used") == 15625);

    const Outcome ranked = rlnas({"rank", "--run", run, "--table", folder / "table.csv", "--json"});
    REQUIRE(ranked.code == 0);
    const json rank = json::parse(ranked.out);
    for (const char* key : {"kendall_ordinal", "kendall_b", "spearman", "top_k_regret"})
        CHECK(rank.at(key) == result.at("table").at(key));

    // The same states as files, the same seed: the same answer.
    const Outcome files = rlnas({"search", "--init", run + "/export/init.safetensors", "--final",
                                 run + "/export/final.safetensors", "--seed", "3", "--json"});
    INFO(files.err);
    REQUIRE(files.code == 0);
    CHECK(json::parse(files.out).at("arch") == result.at("arch"));
    CHECK(json::parse(files.out).at("angle") == result.at("angle"));
    const std::string initial = run + "/export/init.safetensors";
    REQUIRE(rlnas({"search", "--init", initial, "--final", run + "/export/final.safetensors", "--seed", "3", "--out",
                   folder / "found/here"})
                .code == 0);
    CHECK(json::parse(read_text(folder / "found/here/arch.json")) == json::parse(files.out));
    CHECK(std::filesystem::exists(folder / "found/here/export/cell.svg"));
    CHECK(rlnas({"search", "--init", initial, "--final", initial, "--out", run}).code == 2);

    const Outcome again = rlnas(small_run(run));
    CHECK(again.code == 2);
    CHECK(again.err.find("resume") != std::string::npos);
    // run.toml alone reproduces the run.
    const Outcome copy = rlnas({"run", "--config", run + "/run.toml", "--out", folder / "copy"});
    INFO(copy.err);
    REQUIRE(copy.code == 0);
    CHECK(remains(folder / "copy") == remains(run));
}

TEST_CASE("the same seed gives the same bits with one, two and four threads and loaders, another seed others") {
    TemporaryFolder folder;
    REQUIRE(rlnas(small_run(folder / "a", {"--threads", "1", "--loader-workers", "1"})).code == 0);
    REQUIRE(rlnas(small_run(folder / "b", {"--threads", "2", "--loader-workers", "3"})).code == 0);
    REQUIRE(rlnas(small_run(folder / "d", {"--threads", "4", "--loader-workers", "2"})).code == 0);
    REQUIRE(rlnas(small_run(folder / "c", {"--seed", "4"})).code == 0);
    CHECK(remains(folder / "a") == remains(folder / "b"));
    CHECK(remains(folder / "a") == remains(folder / "d"));
    CHECK(remains(folder / "a").trained != remains(folder / "c").trained);
}

TEST_CASE("training and search can be two commands") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    std::vector<std::string> train = small_run(run);
    train[0] = "train";
    REQUIRE(rlnas(train).code == 0);
    CHECK(!std::filesystem::exists(run + "/arch.json"));
    REQUIRE(rlnas({"search", "--run", run, "--method", "exhaustive"}).code == 0);
    CHECK(json::parse(read_text(run + "/arch.json")).at("method") == "exhaustive");
}

/// As a shell runs it, with `redirections` of what the program writes.
int shell(const std::vector<std::string>& arguments, const std::string& redirections) {
    std::string line = NASCENT_RLNAS;
    for (const std::string& a : arguments) line += " '" + a + "'";
    const int status = std::system(("{ " + line + "; } " + redirections).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_CASE("a run does not depend on who listens, but a result that cannot be written is an error") {
    TemporaryFolder folder;
    REQUIRE(rlnas(small_run(folder / "usual")).code == 0);
    const Remains usual = remains(folder / "usual");
    struct Listener {
        const char* redirections;
        int code;
    };
    int number = 0;
    for (const Listener& l : {Listener{">/dev/null 2>&-", 0},
                              {">/dev/null 2>/dev/full", 0},
                              {">&- 2>/dev/null", 1},
                              {">/dev/full 2>/dev/null", 1}}) {
        CAPTURE(l.redirections);
        const std::string run = folder / ("run" + std::to_string(number++));
        CHECK(shell(small_run(run), l.redirections) == l.code);
        CHECK(remains(run) == usual);
        CHECK(read_text(run + "/LOCK").empty());  // and not the text that was meant for people
    }
    // A reader that goes away after the first bytes, while the run goes on.
    const std::string run = folder / "piped";
    CHECK(shell(small_run(run), "2>&1 >/dev/null | head -c 1 >/dev/null") == 0);
    REQUIRE(rlnas({"resume", run}).code == 0);
    const std::string log = read_text(run + "/log.txt");
    CHECK(log.find("goes on from step") == std::string::npos);  // it had not ended before its time
    CHECK(remains(run) == usual);
}

TEST_CASE("a search with other settings leaves the run's own search as it was") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    REQUIRE(rlnas(small_run(run)).code == 0);
    const std::string arch = read_text(run + "/arch.json");
    REQUIRE(rlnas({"search", "--run", run, "--seed", "99", "--population", "20", "--select", "5", "--mutation", "8",
                   "--crossover", "8", "--generations", "2"})
                .code == 0);
    const std::string other = read_text(run + "/arch.json");
    CHECK(other != arch);
    REQUIRE(rlnas({"resume", run}).code == 0);
    CHECK(read_text(run + "/arch.json") == arch);
    // With a folder of its own it leaves the run alone.
    const std::string out = folder / "other";
    REQUIRE(rlnas({"search", "--run", run, "--seed", "99", "--population", "20", "--select", "5", "--mutation", "8",
                   "--crossover", "8", "--generations", "2", "--out", out})
                .code == 0);
    CHECK(read_text(run + "/arch.json") == arch);
    CHECK(read_text(out + "/arch.json") == other);
    CHECK(std::filesystem::exists(out + "/export/cell.svg"));
    CHECK(rlnas({"search", "--run", run, "--out", run}).code == 2);
}

TEST_CASE("float64, shared cells, affine, skip, clipping, smoothing and other labels run") {
    TemporaryFolder folder;
    const Outcome o = rlnas(small_run(folder / "run", {"--dtype",
                                                       "float64",
                                                       "--sampling",
                                                       "shared",
                                                       "--affine",
                                                       "--inactive",
                                                       "skip",
                                                       "--clip",
                                                       "5",
                                                       "--label-smoothing",
                                                       "0.1",
                                                       "--labels",
                                                       "per-access-random",
                                                       "--no-nesterov",
                                                       "--angle-identity",
                                                       "eye",
                                                       "--angle-blocked",
                                                       "fixed",
                                                       "--epochs",
                                                       "2"}));
    INFO(o.err);
    CHECK(o.code == 0);
}

TEST_CASE("cost prints exact integers") {
    // drnas_nb201 facts, table 1.5, index 11472.
    const Outcome o = rlnas({"cost", "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
                             "--space", "nasbench201", "--json"});
    REQUIRE(o.code == 0);
    const json j = json::parse(o.out);
    CHECK(j.at("space") == "nasbench201");
    CHECK(j.at("params") == 559386);
    CHECK(j.at("macs").at("nb201") == 78561930);
    CHECK(rlnas({"cost", "#11472", "--json"}).out == o.out);
    CHECK(rlnas({"--json", "cost", "#11472"}).out == o.out);
    CHECK(json::parse(rlnas({"cost", "#11472", "--json", "--classes", "120", "--size", "16"}).out).at("params") ==
          566536);
}

TEST_CASE("what is wrong is named, with the right exit code") {
    TemporaryFolder folder;
    struct Wrong {
        std::vector<std::string> arguments;
        int code;
        std::string part;
    };
    write_text(folder / "bad.toml", "[train]\nepochz = 3\n");
    write_text(folder / "short.csv", "index,arch,cifar10_test_200\n0,|x~0|,3\n");
    write_text(folder / "junk.safetensors", "junk");
    std::filesystem::create_directories(folder / "empty");
    const Wrong all[] = {
        {{}, 2, "rlnas"},
        {{"rnu"}, 2, "did you mean run"},
        {{"run", "--epoch", "3"}, 2, "did you mean --epochs"},
        {{"run", "--out", folder / "x"}, 2, "no data"},
        {{"run", "--config", folder / "bad.toml"}, 2, "epochs"},
        {{"run", "--config", folder / "none.toml"}, 2, "none.toml"},
        {{"run", "--set", "train.epochs=many"}, 2, "train.epochs"},
        {{"run", "--epochs", "0"}, 2, "--epochs"},
        {{"run", "--data", "synthetic", "--label-smoothing", "1"}, 2, "train.label_smoothing"},
        {{"run", "--data", "synthetic", "--seed", "4294967296"}, 2, "run.seed"},
        {{"run", "--data", "cifar10:", "--out", folder / "x1"}, 2, "cifar10:"},
        {{"run", "--data", "synthetik", "--out", folder / "x1"}, 2, "synthetic"},
        {{"run", "--data", "cifar10:" + (folder / "nowhere"), "--out", folder / "x2"}, 3, "nowhere"},
        {{"run", "--data", "folder:" + (folder / "empty"), "--out", folder / "x3"}, 3, "empty"},
        {{"run", "--data", "synthetic", "--device", "gpu", "--out", folder / "x4"}, 5, "gpu"},
        {{"run", "--data", "synthetic", "--table", folder / "short.csv", "--out", folder / "x5"}, 3, "short.csv"},
        {{"resume", folder / "empty"}, 2, "run.toml"},
        {{"resume"}, 2, "resume"},
        {{"search"}, 2, "--run"},
        {{"search", "--run", folder / "empty", "--epochs", "3"}, 2, "--epochs"},
        {{"search", "--run", folder / "empty", "--set", "train.epochs=3"}, 2, "train.epochs=3: keys of [train]"},
        {{"search", "--init", folder / "junk.safetensors", "--final", folder / "junk.safetensors"},
         4,
         "junk.safetensors"},
        {{"cost", "|nor_conv_3x4~0|+|none~0|none~1|+|none~0|none~1|none~2|"}, 2, "nor_conv_3x3"},
        {{"cost", "#15625"}, 2, "15624"},
        {{"cost", "#1", "--space", "darts"}, 2, "nasbench201"},
    };
    for (const Wrong& w : all) {
        const Outcome o = rlnas(w.arguments);
        CAPTURE(w.part);
        INFO(o.err);
        CHECK(o.code == w.code);
        CHECK(o.err.find(w.part) != std::string::npos);
        CHECK(o.out.empty());
    }
    // Nothing is left of runs that could not begin: their names are free.
    for (const char* name : {"x1", "x2", "x3", "x4", "x5"}) CHECK(!std::filesystem::exists(folder / name));
    const Outcome help = rlnas({"run", "--help"});
    CHECK(help.code == 0);
    CHECK(help.out.find("--epochs") != std::string::npos);
}
