// SIGINT and SIGTERM as a flag that a loop asks between two steps; SIGPIPE ignored.
#pragma once

namespace nascent {

/// While it lives, the first SIGINT or SIGTERM only sets a flag (and says so on stderr); a second SIGINT ends the
/// process at once with exit code 130. SIGPIPE does nothing: a reader of the progress line that is gone (`| tee`, ended
/// by the same Ctrl-C) must not end a run before its checkpoint. The handlers that were there come back afterwards. One
/// at a time.
class InterruptGuard {
  public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;
    /// True once a signal came: write a checkpoint and throw Error(ErrorKind::interrupted).
    static bool requested();
};

/// Throws Error(interrupted), "stopped while WHAT", once a signal came.
void stop_if_requested(const char* what);

}  // namespace nascent
