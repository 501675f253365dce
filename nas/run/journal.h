// events.jsonl: what happened in a run, one JSON record per line, {"v":1,"seq":n,"t":ms,"kind":"epoch","step":s,...}.
//
// A record must be a function of configuration, seed and step (t alone is wall time): a run that was interrupted and
// continued then has, t aside, the very journal of one that was not. What belongs to a process and not to the run
// (started, resumed, speed) goes to log.txt.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/io/json_text.h"

namespace nascent {

class Journal {
  public:
    /// Opens for appending, or creates. A torn last line (the process died writing it) and everything after a damaged
    /// line are moved to `path` + ".damaged"; warning() then says so.
    explicit Journal(std::string path);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    /// Appends one record and hands it to the system before it returns; `fields` come after the standard ones.
    /// Steps never go down.
    void append(std::string_view kind, std::int64_t step, const JsonObject& fields = {});
    /// Number of records, which is the next one's seq.
    std::int64_t size() const { return size_; }
    /// On a return to a checkpoint written when size() was `size`: later records are moved to `side_path` (appended).
    void rewind(std::int64_t size, const std::string& side_path);
    /// Survives a power cut from here on.
    void sync();
    const std::string& warning() const { return warning_; }

  private:
    void open();
    void move_tail(std::int64_t offset, const std::string& side_path);
    std::string path_, warning_;
    int fd_ = -1;
    std::int64_t size_ = 0, last_step_ = 0;
};

}  // namespace nascent
