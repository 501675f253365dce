// spos train and resume as their users meet them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "nas/supernet/state_dict.h"
#include "tests/apps/spos_runs.h"
#include "tests/nas/data_pictures.h"
#include "tests/real_data.h"
#include "tests/texts.h"

using namespace nascent::test;
namespace fs = std::filesystem;

namespace {

/// Nine steps of two epochs, the last one cut short.
std::vector<std::string> small_training(const std::string& out, const std::vector<std::string>& more = {}) {
    std::vector<std::string> a{
        "train", "--preset", "smoke/spos", "--synthetic-train", "40", "--batch", "8", "--steps", "9", "--seed",
        "5",     "--out",    out};
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

struct Left {
    std::string supernet, events, checkpoint;
    bool operator==(const Left&) const = default;
};
Left left_by(const std::string& run) {
    return {read_text(run + "/export/supernet.safetensors"), events_of(run),
            read_text(newest_checkpoint(run) + "/state.safetensors")};
}

/// `classes` folders a, b, ... with `count` pictures each in FOLDER/SPLIT.
void write_pictures(const std::string& folder, const std::string& split, int classes, int count, char first = 'a') {
    for (int label = 0; label < classes; label++)
        for (int i = 0; i < count; i++) {
            const std::string path =
                folder + "/" + split + "/" + std::string(1, static_cast<char>(first + label)) + "/" + std::to_string(i);
            fs::create_directories(fs::path(path).parent_path());
            write_text(path, nascent::testing::jpeg(70, 50, JCS_RGB, 3,
                                                    nascent::testing::noise(50, 70, static_cast<std::uint32_t>(i))));
        }
}

}  // namespace

TEST_CASE("spos train leaves a supernet that says what it is of") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Outcome o = spos(small_training(run, {"--json"}));
    INFO(o.err);
    REQUIRE(o.code == 0);
    const std::string path = json::parse(o.out).at("supernet");
    const auto state = nascent::StateDict::read(path);
    CHECK(state.entries().size() == 1337);  // as the original's state dict
    CHECK(state.metadata().at("space") == "shufflenet");
    CHECK(state.metadata().at("input_size") == "32");
    CHECK(state.metadata().at("classes") == "10");
    CHECK(state.metadata().at("step") == "9");
    CHECK(state.at("features.19.3.branch_main.12.weight").shape == std::vector<std::int64_t>{320, 320, 1, 1});
    CHECK(state.at("first_conv.1.num_batches_tracked").values[0] == 9);
    const std::string events = events_of(run);
    CHECK(std::count(events.begin(), events.end(), '\n') == 2);
    CHECK(json::parse(events.substr(0, events.find('\n'))).at("step") == 5);
    CHECK(events.find("\"step\":9") != std::string::npos);
    // The same bits with other threads and loaders.
    REQUIRE(spos(small_training(folder / "other", {"--threads", "1", "--loader-workers", "0"})).code == 0);
    CHECK(left_by(folder / "other").supernet == left_by(run).supernet);
    refused(small_training(run), "resume", 2);
}

TEST_CASE("a training of spos that is stopped or killed goes on to the same bits") {
    TemporaryFolder folder;
    const std::vector<std::string> longer{"--steps", "40", "--checkpoint-seconds", "1"};
    const double whole = seconds([&] { REQUIRE(spos(small_training(folder / "whole", longer)).code == 0); });
    const std::string run = folder / "disturbed";
    int ended = 0;
    for (const Outcome& o : disturb(
             whole,
             [&] {
                 return fs::exists(run + "/run.toml") ? std::vector<std::string>{"resume", run}
                                                      : small_training(run, longer);
             },
             [](int attempt) { return attempt % 2 ? SIGKILL : SIGTERM; }, folder.path(), NASCENT_SPOS)) {
        INFO(o.err);
        REQUIRE((o.code == 0 || o.code == 75 || o.code == -SIGTERM || o.code == -SIGKILL));
        ended += o.code != 0;
    }
    CHECK(ended >= 2);
    CHECK(left_by(run) == left_by(folder / "whole"));
}

TEST_CASE("spos goes on from the checkpoint before a damaged one, and says so where none is whole") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    REQUIRE(spos(small_training(run, {"--checkpoint-steps", "4"})).code == 0);
    const Left usual = left_by(run);
    auto damage = [&](const std::string& checkpoint) {
        const std::string path = checkpoint + "/state.safetensors";
        std::string bytes = read_text(path);
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
        write_text(path, bytes);
    };
    damage(newest_checkpoint(run));
    fs::remove(run + "/export/supernet.safetensors");
    const Outcome o = spos({"resume", run});
    INFO(o.err);
    REQUIRE(o.code == 0);
    CHECK(o.err.find("damaged") != std::string::npos);
    CHECK(left_by(run) == usual);
    for (const auto& e : fs::directory_iterator(run + "/ckpt")) damage(e.path().string());
    fs::remove(run + "/export/supernet.safetensors");
    refused({"resume", run}, "ckpt", 4);
    // A checkpoint of another network.
    REQUIRE(spos(small_training(folder / "mobile", {"--space", "mobilenet", "--steps", "1"})).code == 0);
    fs::remove_all(run + "/ckpt");
    fs::copy(folder / "mobile/ckpt", run + "/ckpt", fs::copy_options::recursive);
    refused({"resume", run}, "last_step", 4);
    refused({"resume", folder / "none"}, "no run", 2);
}

TEST_CASE("spos trains on class folders, with pictures held out of them") {
    TemporaryFolder folder;
    const std::string data = folder / "data";
    write_pictures(data, "train", 3, 6);
    const std::vector<std::string> common{"train",   "--preset", "smoke/spos-cifar", "--data", "folder:" + data,
                                          "--steps", "2",        "--batch",          "5"};
    auto with = [&](std::vector<std::string> more) {
        more.insert(more.begin(), common.begin(), common.end());
        return more;
    };
    const Outcome o = spos(with({"--holdout", "2", "--out", folder / "held"}));
    INFO(o.err);
    REQUIRE(o.code == 0);  // without a validation split
    CHECK(o.err.find("12 of 18 training pictures 64x64, 3 classes, normalised as 0..255, pipeline spos") !=
          std::string::npos);
    CHECK(o.err.find("warning") == std::string::npos);
    const Outcome warned = spos(with({"--holdout", "7", "--holdout-from-train", "--out", folder / "warned"}));
    CHECK(warned.code == 0);
    CHECK(count_of(warned.err, "warning: the 18 held-out pictures are trained on as well") == 1);
    CHECK(warned.err.find("18 of 18 training pictures") != std::string::npos);
    // Also where it searches afterwards.
    std::vector<std::string> both = with({"--holdout", "7", "--holdout-from-train", "--out", folder / "both"});
    both[0] = "run";
    both.insert(both.end(),
                {"--population", "2", "--select", "1", "--mutation", "1", "--crossover", "0", "--generations", "1",
                 "--calibration", "4", "--calibration-batch", "4", "--pictures", "4", "--search-batch", "4"});
    const Outcome searched = spos(both);
    INFO(searched.err);
    CHECK(searched.code == 0);
    CHECK(count_of(searched.err, "are trained on as well") == 1);
    refused(with({"--holdout", "6"}), "'a' has 6", 3);
    refused(with({"--holdout", "0"}), "neither test/ nor val/", 3);
    refused(with({"--holdout", "0", "--holdout-from-train"}), "--holdout K", 2);
    write_pictures(data, "val", 3, 1, 'b');
    refused(with({"--holdout", "0"}), "no class folder 'a'", 3);
    refused(with({"--holdout", "1"}), "no class folder 'a'", 3);
    fs::remove_all(data + "/val");
    write_text(data + "/train/b/3", "no picture");
    refused(with({"--holdout", "1", "--holdout-from-train", "--steps", "4"}), "train/b/3", 3);
    const Outcome skipped = spos(
        with({"--holdout", "1", "--holdout-from-train", "--steps", "4", "--skip-corrupt", "--out", folder / "skip"}));
    INFO(skipped.err);
    CHECK(skipped.code == 0);
    CHECK(skipped.err.find("1 corrupt pictures, whose places others take: train/b/3") != std::string::npos);
}

TEST_CASE("spos says before training that no architecture has the FLOPs it is to train") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    for (const char* tries : {"0", "500"}) {
        const Outcome o = spos(small_training(run, {"--sampling", "buckets", "--bucket-tries", tries}));
        INFO(o.err);
        CHECK(o.code == 2);
        CHECK(o.err.find("no architecture costs 290000000") != std::string::npos);
        CHECK(o.err.find("nearest") != std::string::npos);
        CHECK_FALSE(fs::exists(run));  // its name is free again
    }
    const std::string out = folder / "ok";
    CHECK(spos(small_training(out, {"--steps", "2", "--sampling", "buckets", "--bucket-low", "6000000", "--bucket-high",
                                    "7000000", "--bucket-width", "1000000"}))
              .code == 0);
    refused(small_training(run, {"--bucket-low", "7", "--bucket-high", "5", "--sampling", "buckets"}), "low < high", 2);
    refused(small_training(run, {"--size", "40"}), "multiple of 32", 2);
    refused(small_training(run, {"--widen-from", "3"}), "shufflenet-channels", 2);
    refused(small_training(run, {"--lr", "0.1", "--lr-min", "0.2"}), "train.lr_min", 2);
    refused(small_training(run, {"--preset", "smoke/spso"}), "smoke/spos", 2);
    refused(small_training(run, {"--decay", "some"}), "anglenas", 2);
    refused(small_training(run, {"--pipeline", "spos"}), "folder:DIR", 2);
    refused({"train", "--preset", "spos/shufflenet"}, "no data: give --data folder:DIR", 2);
    refused({"train"}, "no data: give --data synthetic", 2);
    refused({"resume"}, "spos resume DIR", 2);
}

TEST_CASE("the smoke run on ImageNet's pictures learns something of them") {
    const std::string data = real_data("imagenet-256px");
    if (data.empty()) return;
    TemporaryFolder out;
    const std::string run = out / "run";
    const Outcome o = spos({"train", "--preset", "smoke/spos-imagenet", "--data", "folder:" + data, "--out", run});
    INFO(o.err);
    REQUIRE(o.code == 0);
    std::vector<double> losses;
    std::istringstream events(read_text(run + "/events.jsonl"));
    for (std::string line; std::getline(events, line);)
        if (const json event = json::parse(line); event.at("kind") == "epoch") losses.push_back(event.at("loss"));
    REQUIRE(losses.size() == 19);
    // Whoever knows nothing of the pictures, and all classes are as many, has at least ln 1000.
    CHECK(losses.back() < std::log(1000.0));
    CHECK(losses.back() < losses.front());
    CHECK(o.err.find(fmt::format("mean loss {:.4f} in the first epoch, {:.4f} in the last", losses.front(),
                                 losses.back())) != std::string::npos);
}
