// spos as its users meet it: costs, lists, wrong words.
#include <doctest/doctest.h>

#include "nas/data/pack.h"
#include "tests/apps/spos_runs.h"
#include "tests/nas/data_pictures.h"

using namespace nascent::test;

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

TEST_CASE("spos data pack writes packs, and keeps those that are of the same pictures") {
    TemporaryFolder folder;
    const std::string data = folder / "data", out = folder / "packs";
    const auto picture = [&](const std::string& name) { return data + "/" + name; };
    for (const char* name : {"train/a/1", "train/a/2", "train/b/1", "val/a/3", "val/b/4"}) {
        std::filesystem::create_directories(std::filesystem::path(picture(name)).parent_path());
        write_text(picture(name), nascent::testing::jpeg(40, 30, JCS_RGB, 3, nascent::testing::noise(30, 40, 7)));
    }
    const auto lines = [&](const std::vector<std::string>& more) {
        std::vector<std::string> a{"data", "pack", data, "--out", out};
        a.insert(a.end(), more.begin(), more.end());
        const Outcome o = spos(a);
        INFO(o.err);
        REQUIRE(o.code == 0);
        const std::size_t end = o.out.find('\n');
        return std::pair{json::parse(o.out.substr(0, end)), json::parse(o.out.substr(end + 1))};
    };
    const auto [train, val] = lines({"--size", "15"});
    CHECK(train == json{{"split", "train"},
                        {"path", out + "/train.pack"},
                        {"pictures", 3},
                        {"bytes", 3 * 15 * 20 * 3},
                        {"skipped", json::array()},
                        {"kept", false}});
    CHECK(val.at("path") == out + "/val.pack");
    CHECK(val.at("pictures") == 2);
    const auto pack = nascent::Pack::open(out + "/val.pack");
    pack->verify();
    CHECK(pack->settings() == nascent::PackSettings{nascent::PackGeometry::shorter_side, 15});
    CHECK(lines({"--size", "15"}).first.at("kept") == true);
    const auto square = lines({"--size", "12", "--geometry", "square", "--threads", "1"});
    CHECK(square.first.at("kept") == false);
    CHECK(square.first.at("bytes") == 3 * 12 * 12 * 3);
    CHECK(lines({"--geometry", "original"}).second.at("bytes") == 2 * 30 * 40 * 3);
    (void)lines({"--resize", "opencv", "--orientation"});
    CHECK(nascent::Pack::open(out + "/train.pack")->settings() ==
          nascent::PackSettings{nascent::PackGeometry::shorter_side, 256, nascent::Resampling::opencv, true});

    std::filesystem::rename(data + "/val", data + "/other");
    refused({"data", "pack", data, "--out", out}, out + "/val.pack: is no pack of " + data, 3);
    std::filesystem::rename(data + "/other", data + "/val");
    // A picture that has changed since: the pack is made again.
    write_text(picture("val/b/4"), nascent::testing::jpeg(44, 30, JCS_RGB, 3, nascent::testing::noise(30, 44, 9)));
    CHECK(lines({"--resize", "opencv", "--orientation"}).second.at("kept") == false);
    CHECK(lines({"--resize", "opencv", "--orientation"}).second.at("kept") == true);
    write_text(picture("train/a/2"), "rubbish");
    refused({"data", "pack", data, "--out", out}, "train/a/2", 3);
    CHECK(lines({"--skip-corrupt"}).first.at("skipped") == json{"a/2"});
    refused({"data", "pack", data, "--out", out, "--geometry", "original", "--size", "9"}, "--size is of");
    refused({"data", "pack", data, "--out", out, "--geometry", "round"}, "--geometry");
    refused({"data", "pack", data, "--out", out, "--size", "0"}, "--size");
    refused({"data", "pack", data}, "--out");
    refused({"data", "pack", "--out", out}, "FOLDER");
    refused({"data", "pack", data, "--uot", out}, "did you mean --out?");
    refused({"data", "pck", data, "--out", out}, "unexpected argument pck");
    refused({"data", "pack", folder / "none", "--out", out}, "not a folder", 3);
    write_text(folder / "file", "");
    refused({"data", "pack", data, "--skip-corrupt", "--out", folder / "file/packs"}, "file/packs", 1);
    refused({"data"}, "pack");
    CHECK(spos({"data", "pack", "--help"}).out.find("--geometry") != std::string::npos);
}
