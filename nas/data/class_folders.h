// A folder per class, as torchvision's ImageFolder: classes and files in sorted order.
#pragma once
#include <string>
#include <vector>

namespace nascent {

/// The pictures of one split, not read yet.
struct ClassFolders {
    std::string root;
    std::vector<std::string> class_names;  // sorted; the label is the place
    std::vector<std::string> files;        // "CLASS/FILE", by class and name
    std::vector<int> labels;               // of the files

    std::string path(std::size_t i) const { return root + "/" + files[i]; }
};

/// Every file of every folder in `root` whose name does not begin with a dot. Throws Error(data) when there is no
/// class, a class without files, or a folder that cannot be read.
ClassFolders list_class_folders(const std::string& root);

/// The folders of the two splits of a data set.
struct SplitFolders {
    std::string train, test;  // test: "" where there is none
};
/// DIR/train, and DIR/test or DIR/val. Throws Error(data) without DIR/train.
SplitFolders split_folders(const std::string& root);

/// Both splits listed, of the same classes, at least two; `classes`: how many there must be, 0 for any. Throws
/// Error(data) otherwise, and without DIR/test or DIR/val where `needs_test`; else `test` is then without classes.
struct ListedSplits {
    ClassFolders train, test;
};
ListedSplits list_splits(const std::string& root, int classes, bool needs_test = true);

/// Throws Error(data) that names the classes which one split has and the other lacks (the first ten of each, and how
/// many more).
void check_same_classes(const std::vector<std::string>& some, const std::string& some_root,
                        const std::vector<std::string>& other, const std::string& other_root);

}  // namespace nascent
