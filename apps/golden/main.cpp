// golden FILE|DIR...: recomputes the entries of golden files and compares.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "nas/golden/cases.h"

using namespace nascent;

namespace {

struct Totals {
    std::size_t entries = 0, numbers = 0, wrong = 0, later = 0;
};

nlohmann::json read(const std::string& path) {
    std::ifstream in(path);
    NASCENT_CHECK(in.good(), data, "{}: cannot be read", path);
    try {
        return nlohmann::json::parse(in);
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::data, "{}: {}", path, e.what());
    }
}

void check_file(const std::string& path, Device& device, Totals& totals) {
    const nlohmann::json file = read(path);
    NASCENT_CHECK(file.is_object(), data, "{}: expected an object of entries", path);
    for (const auto& [key, expected] : file.items()) {
        if (key == "rule" || key == "about" || key == "generator") continue;
        const auto check = golden::check_of(key);
        if (!check) {
            totals.wrong++;
            fmt::print("{}: {}: unknown kind of entry\n", path, key);
        } else if (!*check) {
            totals.later++;
            fmt::print("{}: {}: not yet\n", path, key);
        } else {
            golden::Report report;
            try {
                (*check)(device, expected, report);
            } catch (const nlohmann::json::exception& e) {
                fail(ErrorKind::data, "{}: {}: {}", path, key, e.what());
            }
            totals.entries++;
            totals.numbers += report.numbers;
            totals.wrong += report.wrong.size();
            fmt::print("{}: {}: {} numbers, {} wrong\n", path, key, report.numbers, report.wrong.size());
            for (std::size_t i = 0; i < std::min<std::size_t>(report.wrong.size(), 8); i++)
                fmt::print("  {}\n", report.wrong[i]);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> paths;
    std::string device_name = "cpu";
    CLI::App app{
        "Recomputes the entries of golden files in float64 and compares: |a - b| <= 1e-9 max(|b|, rms of the "
        "tensor). Exit codes: 0 all agree; 2 wrong usage; 3 a file that cannot be read; 6 an entry disagrees, is "
        "of an unknown kind, or is listed as \"not yet\"."};
    app.add_option("path", paths, "files, or folders whose .json files are taken")->required();
    app.add_option("--device", device_name)->check(CLI::IsMember({"cpu", "gpu"}))->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : static_cast<int>(ErrorKind::usage);
    }
    try {
        const auto device = make_device(device_name);
        Totals totals;
        for (const std::string& path : paths) {
            if (!std::filesystem::is_directory(path)) {
                check_file(path, *device, totals);
                continue;
            }
            std::vector<std::string> files;
            for (const auto& entry : std::filesystem::directory_iterator(path))
                if (entry.path().extension() == ".json") files.push_back(entry.path().string());
            std::sort(files.begin(), files.end());
            NASCENT_CHECK(!files.empty(), data, "{}: no .json file in it", path);
            for (const std::string& file : files) check_file(file, *device, totals);
        }
        fmt::print("{} entries, {} numbers, {} wrong, {} not yet\n", totals.entries, totals.numbers, totals.wrong,
                   totals.later);
        return totals.wrong + totals.later > 0 ? static_cast<int>(ErrorKind::verification) : 0;
    } catch (const Error& e) {
        fmt::print(stderr, "golden: {}\n", e.what());
        return e.exit_code();
    } catch (const std::exception& e) {
        fmt::print(stderr, "golden: {}\n", e.what());
        return static_cast<int>(ErrorKind::runtime);
    }
}
