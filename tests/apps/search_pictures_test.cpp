// Searches whose pictures stay in folders or packs until a batch holds them.
#include <doctest/doctest.h>

#include "nas/data/pack_write.h"
#include "tests/apps/picture_folders.h"
#include "tests/apps/search_leavings.h"

using namespace nascent::test;

namespace {

/// `smoke/pcdarts-imagenet` as its paper's row takes its pictures, at 64 pixels.
std::vector<std::string> resized_search(const std::string& data, const std::string& out,
                                        const std::vector<std::string>& more = {}) {
    std::vector<std::string> a{"run",        "--preset", "smoke/pcdarts-imagenet",
                               "--pipeline", "imagenet", "--norm",
                               "imagenet",   "--data",   data,
                               "--layers",   "3",        "--epochs",
                               "2",          "--batch",  "8",
                               "--out",      out};
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

}  // namespace

TEST_CASE("a search decodes and cuts its pictures as it needs them, to the same bits with any number of threads") {
    TemporaryFolder folder;
    const std::string data = folder / "data";
    write_folders(data);
    for (const char* workers : {"0", "1", "3"}) {
        const Outcome o = darts_search(
            resized_search("folder:" + data, folder / workers,
                           {"--loader-workers", workers, "--threads", *workers == '3' ? "2" : "1", "--json"}));
        INFO(o.err);
        REQUIRE(o.code == 0);
        CHECK(o.err.find("24 + 12 of 24 training pictures 64x64, 3 classes, normalised as imagenet, pipeline "
                         "imagenet") != std::string::npos);
        CHECK(json::parse(o.out).at("classes") == classes);
        CHECK(left(folder / workers) == left(folder / "0"));
    }
    for (const json& epoch : records(folder / "0", "epoch")) CHECK(epoch.at("step").get<int>() % 3 == 0);
    REQUIRE(records(folder / "0", "epoch").size() == 2);
    // A pack of the pictures as they are gives their bits; other pipelines, and none, give others.
    nascent::PackOptions pack;
    pack.settings.geometry = nascent::PackGeometry::original;
    pack.settings.side = 0;
    REQUIRE(nascent::pack_data_set(data, folder / "pack", pack).size() == 2);
    const Outcome packed = darts_search(resized_search("pack:" + (folder / "pack"), folder / "packed"));
    INFO(packed.err);
    REQUIRE(packed.code == 0);
    CHECK(left(folder / "packed") == left(folder / "0"));
    for (auto [name, more] : {std::pair<const char*, std::vector<std::string>>{"none", {"--pipeline", "none"}},
                              {"coloured", {"--pipeline", "darts-imagenet"}},
                              {"bytes", {"--pipeline", "spos", "--norm", "auto"}},
                              {"half", {"--norm", "half"}}}) {
        CAPTURE(name);
        const Outcome other = darts_search(resized_search("folder:" + data, folder / name, more));
        INFO(other.err);
        REQUIRE(other.code == 0);
        CHECK(left(folder / name).weights != left(folder / "0").weights);
    }
    // Validation crops at random as the programs do, or the centre.
    const std::string centre = folder / "centre";
    REQUIRE(darts_search(resized_search("folder:" + data, centre, {"--no-valid-augment"})).code == 0);
    CHECK(left(centre).weights == left(folder / "0").weights);
    CHECK(records(centre, "epoch")[1].at("valid") != records(folder / "0", "epoch")[1].at("valid"));
}

TEST_CASE("a search that reads pictures as it needs them and is killed goes on to the same bits") {
    TemporaryFolder folder;
    write_folders(folder / "data");
    const std::string data = "folder:" + (folder / "data");
    const std::vector<std::string> setting{"--checkpoint-steps", "1"};
    const double whole =
        seconds([&] { REQUIRE(darts_search(resized_search(data, folder / "whole", setting)).code == 0); });
    const std::string run = folder / "killed";
    const auto life = [&] {
        return fs::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run, "--loader-workers", "3"}
                                             : resized_search(data, run, setting);
    };
    int kills = 0;
    for (const Outcome& o : disturb(
             whole, life, [](int) { return SIGKILL; }, folder.path(), NASCENT_DARTS_SEARCH)) {
        INFO(o.err);
        REQUIRE((o.code == 0 || o.code == -SIGKILL));
        kills += o.code != 0;
    }
    CHECK(kills >= 3);
    REQUIRE(darts_search({"resume", run}).code == 0);
    CHECK(left(run) == left(folder / "whole"));
}

TEST_CASE("a corrupt picture ends a search by its name, or leaves its place to another") {
    TemporaryFolder folder;
    const std::string data = folder / "data", damaged = picture(data, "train", 1, 2);
    write_folders(data);
    write_text(damaged, read_text(damaged).substr(0, 40));
    const Outcome o = darts_search(resized_search("folder:" + data, folder / "stopped"));
    CHECK(o.code == 3);
    CHECK(o.err.find("train/b/2") != std::string::npos);
    CHECK(!fs::exists(folder / "stopped/arch.json"));
    for (const char* workers : {"1", "3"}) {
        const Outcome skips = darts_search(
            resized_search("folder:" + data, folder / workers, {"--skip-corrupt", "--loader-workers", workers}));
        INFO(skips.err);
        REQUIRE(skips.code == 0);
        CHECK(skips.err.find("1 corrupt pictures, whose places others take: train/b/2") != std::string::npos);
    }
    CHECK(left(folder / "1") == left(folder / "3"));
}

TEST_CASE("pipelines and pictures that do not go together are refused") {
    TemporaryFolder folder;
    const std::string data = folder / "data", none = folder / "none", lacking = folder / "lacking",
                      turned = folder / "turned", out = folder / "out";
    write_folders(data);
    write_folders(none);
    fs::remove_all(none + "/val");
    write_folders(lacking);
    fs::remove_all(lacking + "/val/b");
    nascent::PackOptions pack;
    pack.settings.orientation = true;
    nascent::pack_data_set(data, turned, pack);
    struct Wrong {
        std::vector<std::string> arguments;
        int code;
        const char* said;
    };
    const Wrong wrongs[] = {
        {{"--data", "folder:" + data, "--pipeline", "imagenett"}, 2, "did you mean imagenet?"},
        {{"--data", "synthetic", "--pipeline", "imagenet"}, 2, "data.source is synthetic"},
        {{"--data", "folder:", "--pipeline", "imagenet"}, 2, "folder:DIR"},
        {{"--data", "folder:" + data, "--pipeline", "spos", "--norm", "imagenet"}, 2, "spos does not normalise"},
        {{"--data", "folder:" + data, "--pipeline", "imagenet", "--size", "4096"}, 2, "4096"},
        {{"--data", "folder:" + data, "--pipeline", "imagenet", "--classes", "7"}, 3, "3 class folders, expected 7"},
        {{"--data", "folder:" + none, "--pipeline", "imagenet"}, 3, "neither test/ nor val/"},
        {{"--data", "folder:" + lacking, "--pipeline", "imagenet"}, 3, "no class folder 'b'"},
        {{"--data", "pack:" + data, "--pipeline", "imagenet"}, 3, "train.pack"},
        {{"--data", "pack:" + turned, "--pipeline", "imagenet"}, 3, "turned by their EXIF orientation"},
    };
    for (const Wrong& w : wrongs) {
        std::vector<std::string> a{"run", "--preset", "smoke/pcdarts-imagenet", "--out", out};
        a.insert(a.end(), w.arguments.begin(), w.arguments.end());
        CAPTURE(w.said);
        const Outcome o = darts_search(a);
        INFO(o.err);
        CHECK(o.code == w.code);
        CHECK(o.err.find(w.said) != std::string::npos);
        CHECK(!fs::exists(out + "/arch.json"));
        fs::remove_all(out);
    }
}
