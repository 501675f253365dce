// Making packs.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "nas/data/class_folders.h"
#include "nas/data/pack.h"

namespace nascent {

struct PackOptions {
    PackSettings settings;
    bool skip_corrupt = false;  // leave corrupt pictures out and list them in the pack
    int threads = 0;            // that decode; 0: all of the machine's. No effect on the file
    /// Called now and then from the calling thread.
    std::function<void(std::size_t done, std::size_t total)> progress;
};

/// Writes the pack under a temporary name, synchronises and renames it, so that `path` is either what it was or a whole
/// pack. Each picture is decoded in full. Throws Error(usage) on settings that cannot be meant, Error(data) that names
/// the first corrupt picture (with `skip_corrupt`: when all are), Error(runtime) when the disk does not take it.
void write_pack(const ClassFolders& folders, const std::string& path, const PackOptions& options);

struct PackSplit {
    std::string split, path;  // train or val
    std::size_t pictures = 0, bytes = 0;
    std::vector<std::string> skipped;
    bool kept = false;  // it was there already, made of the same files in the same way
};

/// What `data pack` does: OUT/train.pack, and OUT/val.pack where ROOT has val/ or test/, of the class folders in ROOT.
/// A pack that matches its pictures and the settings is left as it is (its checksums are verified), any other replaced.
/// Throws as write_pack and when the two splits have different classes.
std::vector<PackSplit> pack_data_set(const std::string& root, const std::string& out, const PackOptions& options);

}  // namespace nascent
