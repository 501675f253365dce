// The folder of a run: run.toml LOCK events.jsonl log.txt ckpt/ export/ arch.json. It holds all that is needed to
// continue; while an object of this class lives, no other process can work in it.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/io/safetensors.h"
#include "nas/run/checkpoint.h"
#include "nas/run/journal.h"
#include "nas/run/run_lock.h"

namespace nascent {

/// log.txt: lines with date and time. Safe to use from several threads.
class RunLog {
  public:
    explicit RunLog(std::string path);
    ~RunLog();
    RunLog(const RunLog&) = delete;
    RunLog& operator=(const RunLog&) = delete;
    /// To the file only; a disk that is full loses the line, not the run.
    void line(std::string_view text);
    /// To the file and to stderr.
    void say(std::string_view text);
    /// "warning: ..." to the file and to stderr.
    void warn(std::string_view text);

  private:
    std::mutex lock_;
    int fd_ = -1;
};

class RunDirectory {
  public:
    /// Makes the folder (and its parents) for a new run with this run.toml. Error of kind usage if there is a run in it
    /// already ("resume it"), or anything that is not a run's; what a process killed in create() left is no obstacle.
    /// `exports` are the names and contents of files in export/ that the run cannot do without.
    static RunDirectory create(const std::string& path, const std::string& run_toml,
                               const std::vector<std::pair<std::string, std::string>>& exports = {});
    /// Opens an existing run to continue it. Error of kind usage if there is none or it is in use.
    static RunDirectory open(const std::string& path);
    RunDirectory(RunDirectory&&) = default;

    const std::string& path() const { return path_; }
    std::string config_path() const { return path_ + "/run.toml"; }
    std::string arch_path() const { return path_ + "/arch.json"; }
    std::string export_folder() const { return path_ + "/export"; }
    Journal& journal() { return *journal_; }
    RunLog& log() { return *log_; }
    CheckpointStore& checkpoints() { return *checkpoints_; }

    /// Makes the journal durable, then saves a checkpoint that remembers its length. All records of steps up to and
    /// including `step` must have been appended.
    void save_checkpoint(std::int64_t step, const std::vector<SafeTensor>& tensors, const std::string& state);
    /// The newest whole checkpoint, with the journal taken back to where it was then: later records go to
    /// events.undone.jsonl. Nothing if the run was interrupted before its first one; the journal is then empty.
    std::optional<Checkpoint> restore();
    /// Takes back what create() made, for a run that could not begin: its name is free for another try.
    void discard();

  private:
    explicit RunDirectory(std::string path);
    void open_files();
    std::string path_;
    bool made_ = false;  // create() made the folder
    std::unique_ptr<RunLock> lock_;
    std::unique_ptr<RunLog> log_;
    std::unique_ptr<Journal> journal_;
    std::unique_ptr<CheckpointStore> checkpoints_;
};

}  // namespace nascent
