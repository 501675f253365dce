// Pictures that are held out, and folders of other classes.
#include "nas/data/holdout.h"

#include <algorithm>
#include <set>

#include "nas/data/class_folders.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("pictures: pictures held out of each class") {
    std::vector<int> labels;
    for (int i = 0; i < 300; i++) labels.push_back(i * i % 7 % 3);
    const std::vector<std::string> names{"cat", "dog", "eel"};
    const HoldOut a = hold_out(labels, names, 5, 1, HoldOutPolicy::separate);
    CHECK(a.held.size() == 15);
    CHECK(a.train.size() == 285);
    CHECK(a.warning.empty());
    CHECK(std::is_sorted(a.held.begin(), a.held.end()));
    CHECK(std::is_sorted(a.train.begin(), a.train.end()));
    std::vector<int> per_class(3);
    for (std::uint32_t id : a.held) per_class[static_cast<std::size_t>(labels[id])]++;
    CHECK(per_class == std::vector<int>{5, 5, 5});
    std::set<std::uint32_t> all(a.held.begin(), a.held.end());
    all.insert(a.train.begin(), a.train.end());
    CHECK(all.size() == 300);
    CHECK(hold_out(labels, names, 5, 1, HoldOutPolicy::separate).held == a.held);
    CHECK(hold_out(labels, names, 5, 2, HoldOutPolicy::separate).held != a.held);
    // More of them are a superset: the draw is an order within the class.
    const HoldOut more = hold_out(labels, names, 6, 1, HoldOutPolicy::separate);
    CHECK(std::includes(more.held.begin(), more.held.end(), a.held.begin(), a.held.end()));
}

TEST_CASE("pictures: classes too small to hold pictures out of") {
    const std::vector<int> labels{0, 0, 0, 1, 2, 2};
    const std::vector<std::string> names{"cat", "dog", "eel"};
    const std::string text = error_of(ErrorKind::data, [&] { hold_out(labels, names, 2, 0, HoldOutPolicy::separate); });
    CHECK(contains(text, "in 2 of 3 classes: 'dog' has 1, 'eel' has 2"));
    CHECK(contains(text, "--holdout-from-train"));
    const HoldOut from_train = hold_out(labels, names, 2, 0, HoldOutPolicy::from_train);
    CHECK(from_train.held.size() == 5);
    CHECK(from_train.train.size() == 6);
    CHECK(contains(from_train.warning, "5 held-out pictures are trained on as well"));
    CHECK(contains(from_train.warning, "1 of 3 classes have fewer than 2"));
    CHECK(contains(error_of(ErrorKind::usage, [&] { hold_out(labels, names, 0, 0, HoldOutPolicy::separate); }),
                   "at least 1"));
    std::vector<std::string> many;
    std::vector<int> one_each;
    for (int i = 0; i < 30; i++) many.push_back("c" + std::to_string(i)), one_each.push_back(i);
    CHECK(contains(error_of(ErrorKind::data, [&] { hold_out(one_each, many, 1, 0, HoldOutPolicy::separate); }),
                   "and 20 more"));
}

TEST_CASE("pictures: class folders that differ are all named") {
    const std::vector<std::string> some{"a", "b", "c", "d"}, other{"b", "d", "e"};
    const std::string text = error_of(ErrorKind::data, [&] { check_same_classes(some, "train", other, "val"); });
    CHECK(contains(text, "val: no class folder 'a', 'c', which train has; train: no class folder 'e', which val has"));
    check_same_classes(some, "train", some, "val");
    std::vector<std::string> many;
    for (int i = 10; i < 40; i++) many.push_back(std::to_string(i));
    CHECK(contains(error_of(ErrorKind::data, [&] { check_same_classes(many, "x", {"10"}, "y"); }), "'20' and 19 more"));
    TemporaryFolder folder;
    CHECK(contains(error_of(ErrorKind::data, [&] { list_class_folders(folder / "none"); }), "missing"));
    CHECK(contains(error_of(ErrorKind::data, [&] { list_class_folders(folder.path()); }), "no class folders"));
    write_file(folder / "train/b/2.jpg", "");
    write_file(folder / "train/a/1.jpg", "");
    std::filesystem::create_directories(folder / "train/c");
    CHECK(contains(error_of(ErrorKind::data, [&] { list_class_folders(folder / "train"); }),
                   "c: class folder without files"));
    std::filesystem::remove(folder / "train/c");
    const ClassFolders all = list_class_folders(folder / "train");
    CHECK(all.files == std::vector<std::string>{"a/1.jpg", "b/2.jpg"});
    CHECK(all.labels == std::vector<int>{0, 1});
    CHECK(split_folders(folder.path()).test.empty());
    write_file(folder / "val/a/1.jpg", "");
    CHECK(split_folders(folder.path()).test == folder / "val");
}
