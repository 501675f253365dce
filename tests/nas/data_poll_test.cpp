// What is asked between pictures or files may end a loading.
#include <atomic>
#include <csignal>

#include "nas/algo/common_options.h"
#include "nas/run/interrupt.h"
#include "tests/nas/pack_files.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("data: what is asked between pictures ends a loading") {
    TemporaryFolder folder;
    for (const char* split : {"train", "val"})
        for (int i = 0; i < 6; i++)
            write_file(folder / (std::string("set/") + split + (i % 2 ? "/a/" : "/b/") + std::to_string(i)),
                       png(8, 8, 8, PNG_COLOR_TYPE_RGB, noise(8, 8, static_cast<std::uint32_t>(i))));
    pack_data_set(folder / "set", folder / "packs", settings(PackGeometry::square, 8));
    for (int b = 1; b <= 5; b++)
        write_file(folder / ("cifar/data_batch_" + std::to_string(b) + ".bin"), std::string(3073, '\1'));
    write_file(folder / "cifar/test_batch.bin", std::string(3073, '\1'));
    for (const auto& [spec, times] : {std::pair{"folder:" + folder / "set", 12},
                                      {"pack:" + folder / "packs", 12},
                                      {"cifar10:" + folder / "cifar", 6}}) {
        CAPTURE(spec);
        std::atomic<int> asked{0};
        DatasetOptions o;
        o.size = spec.starts_with("cifar") ? 32 : 8;
        o.threads = 2;
        o.poll = [&] { asked++; };
        load_dataset(spec, o);
        CHECK(asked == times);
        asked = 0;
        o.poll = [&] {
            if (++asked == 4) fail(ErrorKind::interrupted, "no more");
        };
        CHECK(contains(error_of(ErrorKind::interrupted, [&] { load_dataset(spec, o); }), "no more"));
        CHECK(asked == 4);
    }
    DatasetOptions o;
    o.train_count = 1000;
    o.poll = [] { fail(ErrorKind::interrupted, "no more"); };
    CHECK(contains(error_of(ErrorKind::interrupted, [&] { load_dataset("synthetic", o); }), "no more"));
}

TEST_CASE("data: a signal ends the loading of a run's pictures") {
    PictureOptions pictures;
    pictures.source = "synthetic";
    pictures.synthetic_train = pictures.synthetic_test = 10;
    const InterruptGuard guard;
    CHECK(load_pictures(pictures, {}).train.count() == 10);
    std::raise(SIGTERM);
    CHECK(contains(error_of(ErrorKind::interrupted, [&] { load_pictures(pictures, {}); }),
                   "--data synthetic / data set synthetic: stopped while pictures were loaded"));
}
