// spos as its users meet it: costs, lists, wrong words.
#include <doctest/doctest.h>

#include "tests/apps/program.h"

using namespace nascent::test;

namespace {

Outcome spos(const std::vector<std::string>& arguments) {
    TemporaryFolder folder;
    return finish(start(arguments, folder.path(), {}, NASCENT_SPOS), folder.path());
}

void refused(const std::vector<std::string>& arguments, const std::string& message, int code = 2) {
    const Outcome o = spos(arguments);
    CAPTURE(o.err);
    CHECK(o.code == code);
    CHECK(o.out.empty());
    CHECK(o.err.find(message) != std::string::npos);
}

}  // namespace

TEST_CASE("spos cost prints parameters and MACs in every convention") {
    const Outcome o = spos({"cost", "arch_README"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    const json readme = json::parse(o.out);
    CHECK(readme.at("macs") == json{{"mac", 322918720}, {"thop", 323941720}, {"mmrazor", readme["macs"]["mmrazor"]}});
    CHECK(readme.at("params") == 3558464);
    CHECK(readme.at("name") == "arch_README");
    // The same in other words.
    const std::string text = readme.at("arch").get<std::string>();
    CHECK(text == "(2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)");
    CHECK(spos({"cost", text, "--space", "shufflenet"}).out == o.out);
    CHECK(spos({"cost", "--space=shufflenet", "2 1 0 1 2 0 2 0 2 0 2 3 0 0 0 0 3 2 3 3"}).out == o.out);
    const json mm = json::parse(spos({"cost", "README", "--space", "shufflenet-mmrazor"}).out);
    CHECK(mm.at("macs").at("mmrazor") == 333668928);
    CHECK(mm.at("params") == 3558952);
    const json rlnas = json::parse(spos({"cost", "RLNAS", "--space", "mobilenet"}).out);
    CHECK(rlnas.at("macs") == json{{"mac", 471521184}, {"thop", 473248184}, {"mmrazor", 492058848}});
    // An architecture that begins with a minus sign is no flag.
    const json least = json::parse(
        spos({"cost", "--space", "mobilenet-mmrazor", "-1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1"})
            .out);
    CHECK(least.at("params") == 2650120);
    // Other pictures and classes: convolutions cost in proportion, the classifier by its classes.
    const json small = json::parse(spos({"cost", "README", "--size", "64", "--classes", "10"}).out);
    CHECK(small.at("params") == 3558464 - 1024 * 990);
    CHECK(small.at("conv_macs").get<long>() * 49 == (322918720L - 1024000) * 4);
    CHECK(small.at("macs").at("mac").get<long>() == small.at("conv_macs").get<long>() + 10240);
}

TEST_CASE("spos cost reads MMRazor's subnet files") {
    TemporaryFolder folder;
    std::string yaml;
    const int stages[] = {4, 4, 8, 4};
    for (int s = 0; s < 4; s++)
        for (int b = 0; b < stages[s]; b++)
            yaml += "backbone.layers." + std::to_string(s) + "." + std::to_string(b) + ":\n  chosen: shuffle_5x5\n";
    write_text(folder / "best.yaml", yaml);
    const Outcome o = spos({"cost", folder / "best.yaml", "--space", "shufflenet-mmrazor"});
    INFO(o.err);
    REQUIRE(o.code == 0);
    CHECK(json::parse(o.out).at("name") == "all_shuffle_5x5");
    CHECK(json::parse(o.out).at("macs").at("mmrazor") == 323997504);
    write_text(folder / "short.yaml", yaml.substr(0, yaml.size() / 2));
    refused({"cost", folder / "short.yaml"}, "short.yaml");
    refused({"cost", folder / "none.yaml"}, "none.yaml: no such file", 3);
    refused({"cost", folder / "best.yaml", "--space", "mobilenet"}, "line 1, column 1");
}

TEST_CASE("spos cost --list prints the published architectures") {
    const Outcome all = spos({"cost", "--list"}), one = spos({"cost", "--list", "--space", "mobilenet"});
    REQUIRE(all.code == 0);
    REQUIRE(one.code == 0);
    CHECK(all.out.find(one.out) != std::string::npos);
    int lines = 0, found = 0;
    for (std::size_t at = 0, end; (end = one.out.find('\n', at)) != std::string::npos; at = end + 1, lines++) {
        const json line = json::parse(one.out.substr(at, end - at));
        CHECK(line.at("space") == "mobilenet");
        found += line.at("name") == "SPOS_ABS" && line.at("macs").at("thop") == 472519064;
        CHECK(!line.at("origin").get<std::string>().empty());
    }
    CHECK(lines >= 3);
    CHECK(found == 1);
}

TEST_CASE("spos answers wrong words") {
    CHECK(spos({"--help"}).code == 0);
    CHECK(spos({"--help"}).out.find("cost") != std::string::npos);
    CHECK(spos({"cost", "--help"}).out.find("--space") != std::string::npos);
    refused({}, "cost");
    refused({"cost"}, "cost needs an architecture");
    refused({"cost", "arch_READM"}, "nearest: arch_README");
    refused({"cost", "README", "--space", "shuflenet"}, "nearest: shufflenet");
    refused({"cost", "README", "--spaec", "shufflenet"}, "--space");
    refused({"cost", "README", "--size", "100"}, "multiple of 32");
    refused({"cost", "README", "--classes", "0"}, "classes");
    refused({"cost", "README", "--list"}, "--list goes with --space alone");
    refused({"cost", "--list", "--space", "darts"}, "no space of blocks is called 'darts'");
    refused({"cost", "(2, 1, 9)"}, "line 1, column 8: block 2 cannot have operator 9");
    refused({"cots", "README"}, "cost");
}
