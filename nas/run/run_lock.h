// One process per run: a LOCK file that is flock()ed for the life of the process and says who holds it.
#pragma once
#include <string>

namespace nascent {

class RunLock {
  public:
    /// Takes the lock, or throws Error(usage) that names the holder. The kernel frees the lock of a process that died
    /// by whatever means; its name then still stands in the file, and note() says that the lock was taken over.
    explicit RunLock(std::string path);
    /// Leaves an empty file: removing it could remove another process's.
    ~RunLock();
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;
    /// "" or one sentence about the process that had the lock and did not give it back.
    const std::string& note() const { return note_; }

  private:
    std::string path_, note_;
    int fd_ = -1;
};

}  // namespace nascent
