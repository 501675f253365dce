// Data that are not in the repository: NASCENT_DATA_DIR names their folder.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace nascent::test {

/// The path of a file or folder of NASCENT_DATA_DIR, or "" after the line that says why the test is left out.
inline std::string real_data(const std::string& name) {
    const char* root = std::getenv("NASCENT_DATA_DIR");
    const std::string path = root ? std::string(root) + "/" + name : "";
    if (!path.empty() && std::filesystem::exists(path)) return path;
    std::printf("[SKIPPED] NASCENT_DATA_DIR has no %s\n", name.c_str());
    return "";
}

}  // namespace nascent::test
