#include "nas/run/run_directory.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

namespace nascent {
namespace {

namespace fs = std::filesystem;

/// What create() itself makes before run.toml is written.
constexpr std::array<std::string_view, 5> own_names = {"LOCK", "log.txt", "events.jsonl", "ckpt", "export"};

bool is_ours(const std::string& name) {
    return std::find(own_names.begin(), own_names.end(), name) != own_names.end() || is_temporary_name(name);
}

void remove_temporaries(const std::string& folder) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        std::error_code ignored;  // what cannot be removed is in nobody's way
        if (is_temporary_name(entry.path().filename().string())) fs::remove_all(entry.path(), ignored);
    }
}

void make_folder(const std::string& path) {
    std::error_code error;
    fs::create_directories(path, error);
    NASCENT_CHECK(!error, runtime, "{}: cannot make the folder: {}", path, error.message());
}

}  // namespace

RunLog::RunLog(std::string path) {
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    NASCENT_CHECK(fd_ >= 0, runtime, "{}: cannot open: {}", path, std::strerror(errno));
}

RunLog::~RunLog() {
    if (fd_ >= 0) ::close(fd_);
}

void RunLog::line(std::string_view text) {
    const std::string line = fmt::format("{:%Y-%m-%d %H:%M:%S} {}\n", fmt::localtime(std::time(nullptr)), text);
    std::lock_guard guard(lock_);
    if (::write(fd_, line.data(), line.size()) < 0) return;
}

void RunLog::say(std::string_view text) {
    line(text);
    const std::string whole = fmt::format("{}\n", text);
    std::fwrite(whole.data(), 1, whole.size(), stderr);  // nobody may be listening, which stops no run
}

void RunLog::warn(std::string_view text) { say(fmt::format("warning: {}", text)); }

RunDirectory::RunDirectory(std::string path) : path_(std::move(path)) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
}

RunDirectory RunDirectory::create(const std::string& path, const std::string& run_toml,
                                  const std::vector<std::pair<std::string, std::string>>& exports) {
    NASCENT_CHECK(!path.empty(), usage, "no folder for the run: give --out DIR");
    RunDirectory run(path);
    NASCENT_CHECK(!fs::exists(run.path_) || fs::is_directory(run.path_), usage, "{}: not a folder", path);
    if (fs::exists(run.path_)) {
        NASCENT_CHECK(!fs::exists(run.config_path()), usage,
                      "{}: holds a run already; continue it with resume {}, or choose another folder", path, path);
        for (const fs::directory_entry& entry : fs::directory_iterator(run.path_)) {
            const std::string name = entry.path().filename().string();
            NASCENT_CHECK(is_ours(name), usage, "{}: not empty (it holds {}), choose another folder", path, name);
        }
    }
    run.made_ = !fs::exists(run.path_);
    make_folder(run.path_);
    run.lock_ = std::make_unique<RunLock>(run.path_ + "/LOCK");
    // Two processes may have come this far one after the other.
    NASCENT_CHECK(!fs::exists(run.config_path()), usage, "{}: holds a run already; continue it with resume {}", path,
                  path);
    make_folder(run.path_ + "/ckpt");
    make_folder(run.export_folder());
    run.open_files();
    for (const auto& [name, content] : exports) write_file_atomic(run.export_folder() + "/" + name, content);
    write_file_atomic(run.config_path(), run_toml);  // last: the run exists from here on
    return run;
}

RunDirectory RunDirectory::open(const std::string& path) {
    RunDirectory run(path);
    NASCENT_CHECK(fs::exists(run.config_path()), usage, "{}: no run, there is no run.toml in it", path);
    run.lock_ = std::make_unique<RunLock>(run.path_ + "/LOCK");
    make_folder(run.path_ + "/ckpt");
    make_folder(run.export_folder());
    remove_temporaries(run.path_);
    remove_temporaries(run.export_folder());
    run.open_files();
    return run;
}

void RunDirectory::open_files() {
    log_ = std::make_unique<RunLog>(path_ + "/log.txt");
    if (!lock_->note().empty()) log_->warn(lock_->note());
    journal_ = std::make_unique<Journal>(path_ + "/events.jsonl");
    if (!journal_->warning().empty()) log_->warn(journal_->warning());
    checkpoints_ = std::make_unique<CheckpointStore>(path_ + "/ckpt");
}

void RunDirectory::discard() {
    std::error_code ignored;
    fs::remove(config_path(), ignored);  // first: what is left is no run, and create() takes it
    for (std::string_view name : own_names) fs::remove_all(fmt::format("{}/{}", path_, name), ignored);
    if (made_) fs::remove(path_, ignored);
}

void RunDirectory::save_checkpoint(std::int64_t step, const std::vector<SafeTensor>& tensors,
                                   const std::string& state) {
    journal_->sync();
    checkpoints_->save(step, journal_->size(), tensors, state);
}

std::optional<Checkpoint> RunDirectory::restore() {
    std::optional<Checkpoint> found = checkpoints_->load_latest([this](const std::string& text) { log_->warn(text); });
    const std::int64_t wanted = found ? found->journal_size : 0;
    if (journal_->size() < wanted) {
        log_->warn(fmt::format("events.jsonl has {} records, {} were written before the checkpoint of step {}",
                               journal_->size(), wanted, found->step));
    }
    journal_->rewind(wanted, path_ + "/events.undone.jsonl");
    return found;
}

}  // namespace nascent
