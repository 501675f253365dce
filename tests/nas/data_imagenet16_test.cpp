// ImageNet16's pickles, written by the test as Python 2 and Python 3 write them.
#include "nas/data/dataset.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
std::string little(std::uint32_t v) {
    return {static_cast<char>(v), static_cast<char>(v >> 8), static_cast<char>(v >> 16), static_cast<char>(v >> 24)};
}
std::string integer(int v) { return little(static_cast<std::uint32_t>(v)).insert(0, 1, 'J'); }

/// `python3`: text keys and bytes; else Python 2's str for both.
std::string pickled(const std::vector<int>& labels, int rows, int columns, const std::string& data, bool python3,
                    const std::string& dtype = "u1") {
    const auto text = [&](const std::string& s) {
        std::string out = python3 ? "X" : "U";
        return out.append(little(static_cast<std::uint32_t>(s.size())), 0, python3 ? 4 : 1).append(s);
    };
    std::string bytes = python3 ? "B" : "T";
    bytes.append(little(static_cast<std::uint32_t>(data.size()))).append(data);
    const std::string zero = integer(0), one = integer(1);
    std::string out = std::string("\x80") + (python3 ? "\x03" : "\x02") + "}(" + text("data") +
                      "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + zero + "\x85" + text("b") + "\x87R(" +
                      one + integer(rows) + integer(columns) + "\x86" + "cnumpy\ndtype\n" + text(dtype) + zero + one +
                      "\x87R(" + integer(3) + text("|") + "NNN" + integer(-1) + integer(-1) + zero + "tb\x89" + bytes +
                      "tb" + text("labels") + "](";
    for (int label : labels) out += integer(label);
    return out + "eu.";
}

char stored(int id, int i) { return static_cast<char>((id * 31 + i * 5 + i / 256) & 255); }

std::string pictures(int first, std::size_t count) {
    std::string out;
    for (int id = first; id < first + static_cast<int>(count); id++) {
        for (int i = 0; i < 768; i++) out += stored(id, i);
    }
    return out;
}

/// Batch b (0..9; 10: val_data) holds pictures 3 b ... with labels 1 + b, 120, 121 + b.
void write_set(const TemporaryFolder& folder) {
    for (int b = 0; b <= 10; b++) {
        const std::string name = b < 10 ? "train_data_batch_" + std::to_string(b + 1) : "val_data";
        write_file(folder / name, pickled({1 + b, 120, 121 + b}, 3, 768, pictures(3 * b, 3), b % 2 == 1));
    }
}
}  // namespace

TEST_CASE("data: ImageNet16 keeps labels 1..K, counted from 0") {
    TemporaryFolder folder;
    write_set(folder);
    for (int classes : {0, 120, 125, 1000}) {
        DatasetOptions options;
        options.classes = classes;
        const Dataset set = load_dataset("imagenet16:" + folder.path(), options);
        const int k = classes == 0 ? 120 : classes;
        CHECK(set.classes == k);
        CHECK(set.train.height == 16);
        std::vector<int> labels, ids;
        for (int b = 0; b < 10; b++) {
            for (int j = 0; j < 3; j++) {
                const int label = j == 0 ? 1 + b : j == 1 ? 120 : 121 + b;
                if (label > k) continue;
                labels.push_back(label - 1);
                ids.push_back(3 * b + j);
            }
        }
        REQUIRE(set.train.labels == labels);
        REQUIRE(set.train.pixels.size() == ids.size() * 768);
        int wrong = 0;
        for (std::size_t n = 0; n < ids.size(); n++) {
            for (int i = 0; i < 256; i++) {
                for (int c = 0; c < 3; c++) {
                    wrong += set.train.picture(n)[i * 3 + c] != static_cast<std::uint8_t>(stored(ids[n], c * 256 + i));
                }
            }
        }
        CHECK(wrong == 0);
        CHECK(set.test.labels == (k < 131 ? std::vector<int>{10, 119} : std::vector<int>{10, 119, 130}));
    }
}

TEST_CASE("data: ImageNet16 files that do not fit together are named") {
    TemporaryFolder folder;
    const auto with = [&](const std::string& bytes) {
        write_set(folder);
        write_file(folder / "train_data_batch_4", bytes);
        const std::string message = error_of(ErrorKind::data, [&] { load_dataset("imagenet16:" + folder.path()); });
        CHECK(contains(message, "train_data_batch_4"));
        return message;
    };
    const std::string good = pictures(0, 2);
    CHECK(contains(with(pickled({1}, 2, 768, good, true)), "1 labels for 2 pictures"));
    CHECK(contains(with(pickled({1, 0}, 2, 768, good, true)), "label 0 of picture 1, expected 1..1000"));
    CHECK(contains(with(pickled({1, 1001}, 2, 768, good, true)), "label 1001"));
    CHECK(contains(with(pickled({1, 2}, 1, 1536, good, false)), "not an array (N, 768) of uint8"));
    CHECK(contains(with(pickled({1, 2}, 2, 768, good, false, "i1")), "not an array (N, 768) of uint8"));
    CHECK(contains(with(pickled({1, 2}, 3, 768, good, false)), "declared larger than the file"));
    CHECK(contains(with("cos\nsystem\n(S'true'\ntR."), "the global 'os.system' is not allowed"));
    write_set(folder);
    std::filesystem::remove(folder / "val_data");
    CHECK(contains(error_of(ErrorKind::data, [&] { load_dataset("imagenet16:" + folder.path()); }), "val_data"));
    DatasetOptions options;
    options.classes = 1001;
    CHECK(contains(error_of(ErrorKind::usage, [&] { load_dataset("imagenet16:" + folder.path(), options); }), "1001"));
}
