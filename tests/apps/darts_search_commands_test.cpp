// darts_search's commands and what it says of wrong words.
#include <doctest/doctest.h>

#include "tests/apps/search_leavings.h"

using namespace nascent::test;
namespace fs = std::filesystem;

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
