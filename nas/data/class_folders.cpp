#include "nas/data/class_folders.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "engine/base/error.h"

namespace nascent {
namespace {
namespace fs = std::filesystem;
constexpr std::size_t names_shown = 10;

std::vector<std::string> sorted_names(const fs::path& folder, bool folders) {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (name.front() != '.' && entry.is_directory() == folders) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

ClassFolders listing(const std::string& root) {
    NASCENT_CHECK(fs::is_directory(root), data, "{}: missing; expected a folder per class in it", root);
    ClassFolders all{root, sorted_names(root, true), {}, {}};
    NASCENT_CHECK(!all.class_names.empty(), data, "{}: no class folders, expected a folder per class", root);
    for (std::size_t c = 0; c < all.class_names.size(); c++) {
        const fs::path folder = fs::path(root) / all.class_names[c];
        const std::vector<std::string> names = sorted_names(folder, false);
        NASCENT_CHECK(!names.empty(), data, "{}: class folder without files", folder.string());
        for (const std::string& name : names) {
            all.files.push_back(all.class_names[c] + "/" + name);
            all.labels.push_back(static_cast<int>(c));
        }
    }
    return all;
}

/// "no class folder 'a', 'b', which ROOT has" for what `other` lacks; "" if nothing.
std::string lacking(const std::vector<std::string>& some, const std::string& some_root,
                    const std::vector<std::string>& other, const std::string& other_root) {
    std::vector<std::string> missing;
    std::set_difference(some.begin(), some.end(), other.begin(), other.end(), std::back_inserter(missing));
    if (missing.empty()) return "";
    std::string list;
    for (std::size_t i = 0; i < std::min(missing.size(), names_shown); i++) {
        list += fmt::format("{}'{}'", i > 0 ? ", " : "", missing[i]);
    }
    if (missing.size() > names_shown) list += fmt::format(" and {} more", missing.size() - names_shown);
    return fmt::format("{}: no class folder {}, which {} has", other_root, list, some_root);
}
}  // namespace

ClassFolders list_class_folders(const std::string& root) {
    try {
        return listing(root);
    } catch (const fs::filesystem_error& error) {
        fail(ErrorKind::data, "{}", error.what());
    }
}

SplitFolders split_folders(const std::string& root) {
    std::error_code ignored;
    NASCENT_CHECK(fs::is_directory(root, ignored), data, "{}: not a folder", root);
    const std::string train = (fs::path(root) / "train").string();
    NASCENT_CHECK(fs::is_directory(train, ignored), data, "{}: missing; expected a folder per class in it", train);
    for (const char* name : {"test", "val"}) {
        const fs::path test = fs::path(root) / name;
        if (fs::is_directory(test, ignored)) return {train, test.string()};
    }
    return {train, ""};
}

ListedSplits list_splits(const std::string& root, int classes, bool needs_test) {
    const SplitFolders folders = split_folders(root);
    NASCENT_CHECK(!folders.test.empty() || !needs_test, data, "{}: has neither test/ nor val/", root);
    ClassFolders train = list_class_folders(folders.train);
    const auto found = static_cast<int>(train.class_names.size());
    NASCENT_CHECK(found >= 2, data, "{}: {} class folders, expected at least 2", train.root, found);
    NASCENT_CHECK(classes == 0 || classes == found, data, "{}: {} class folders, expected {}", train.root, found,
                  classes);
    if (folders.test.empty()) return {std::move(train), {}};
    ClassFolders test = list_class_folders(folders.test);
    check_same_classes(train.class_names, train.root, test.class_names, test.root);
    return {std::move(train), std::move(test)};
}

void check_same_classes(const std::vector<std::string>& some, const std::string& some_root,
                        const std::vector<std::string>& other, const std::string& other_root) {
    std::string text = lacking(some, some_root, other, other_root);
    const std::string more = lacking(other, other_root, some, some_root);
    if (!text.empty() && !more.empty()) text += "; ";
    text += more;
    NASCENT_CHECK(text.empty(), data, "{}; both splits must have the same classes", text);
}

}  // namespace nascent
