// What happens to pictures while a run reads them: signals, and packs that are cut.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>
#include <thread>

#include "nas/data/pack_write.h"
#include "tests/apps/picture_folders.h"
#include "tests/apps/program.h"
#include "tests/texts.h"

using namespace nascent::test;

namespace {

constexpr auto tick = std::chrono::milliseconds(5);

/// CIFAR-10's archive with two pictures in each file.
std::string small_archive(const std::string& folder) {
    fs::create_directories(folder + "/cifar-10-batches-bin");
    std::string file;
    for (int i = 0; i < 2 * 3073; i++) file += static_cast<char>(i % 3073 == 0 ? i / 3073 : i % 251);
    for (const char* name :
         {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"})
        write_text(folder + "/cifar-10-batches-bin/" + name + ".bin", file);
    const std::string archive = folder + "/cifar.tar.gz";
    REQUIRE(std::system(("tar -czf " + archive + " -C " + folder + " cifar-10-batches-bin").c_str()) == 0);
    return archive;
}

/// Lets the program read `bytes` from a pipe in the file system, after a signal that comes while it waits for them.
Outcome interrupted_while_reading(const std::vector<std::string>& arguments, const std::string& pipe,
                                  const std::string& bytes, int signal) {
    TemporaryFolder output;
    fs::remove(pipe);
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const pid_t pid = start(arguments, output.path());
    int to = -1;
    for (int i = 0; i < 12'000 && to < 0; i++) {  // until it has opened the other end
        to = open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (to < 0) std::this_thread::sleep_for(tick);
    }
    kill(pid, signal);
    if (to >= 0) {
        std::signal(SIGPIPE, SIG_IGN);
        CHECK(write(to, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
        close(to);
    }
    return finish(pid, output.path());
}

}  // namespace

TEST_CASE("a signal while pictures are loaded ends a fresh run without a trace, and loses nothing of another") {
    TemporaryFolder folder;
    const std::string archive = small_archive(folder.path()), bytes = read_text(archive), run = folder / "run";
    std::vector<std::string> arguments{"train",   "--data", "cifar10:" + archive, "--channels", "4",     "--cells", "1",
                                       "--batch", "5",      "--epochs",           "2",          "--out", run};
    for (int signal : {SIGTERM, SIGINT}) {
        const std::string pipe = folder / "pipe";
        std::vector<std::string> piped = arguments;
        piped[2] = "cifar10:" + pipe;
        const Outcome o = interrupted_while_reading(piped, pipe, bytes, signal);
        INFO(o.err);
        CHECK(o.code == 75);
        CHECK(contains(o.err, "stopped while pictures were loaded, before anything was computed"));
        CHECK(!fs::exists(run));
    }
    // A run that was killed after its first epoch has a checkpoint, which a signal while it loads again leaves alone.
    const Outcome whole = rlnas(arguments);
    INFO(whole.err);
    REQUIRE(whole.code == 0);
    const std::string supernet = read_text(run + "/export/final.safetensors");
    fs::remove(run + "/export/final.safetensors");
    fs::remove(archive);
    const Outcome o = interrupted_while_reading({"resume", run}, archive, bytes, SIGTERM);
    INFO(o.err);
    CHECK(o.code == 75);
    fs::remove(archive);
    write_text(archive, bytes);
    REQUIRE(rlnas({"resume", run}).code == 0);
    CHECK(read_text(run + "/export/final.safetensors") == supernet);
}

TEST_CASE("a pack that is cut under a running training ends it as damaged data do") {
    TemporaryFolder folder, output;
    const std::string data = folder / "data", packs = folder / "packs", run = folder / "run";
    write_folders(data);
    nascent::PackOptions pack;
    pack.settings.geometry = nascent::PackGeometry::original;
    pack.settings.side = 0;
    REQUIRE(nascent::pack_data_set(data, packs, pack).size() == 2);
    const pid_t pid = start({"train", "--preset", "smoke/spos-cifar", "--data", "pack:" + packs, "--holdout", "0",
                             "--steps", "1000000", "--batch", "4", "--out", run},
                            output.path(), {}, NASCENT_SPOS);
    for (int i = 0; i < 12'000 && !contains(read_text(run + "/events.jsonl"), "\"epoch\""); i++)
        std::this_thread::sleep_for(tick);
    fs::resize_file(packs + "/train.pack", 1000);
    const Outcome o = finish(pid, output.path());
    INFO(o.err);
    CHECK(o.code == 3);
    CHECK(contains(o.err, "train.pack: was cut to 1000 bytes while it is read"));
}
