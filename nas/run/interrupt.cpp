#include "nas/run/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "engine/base/error.h"

namespace nascent {
namespace {

std::atomic<int> interrupts{0};
std::atomic<bool> flag{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "used in a signal handler");
struct sigaction old_int, old_term, old_pipe;

void handle(int signal) {
    if (signal == SIGINT && ++interrupts >= 2) _exit(130);
    if (flag.exchange(true)) return;
    const char text[] = "\nstopping after this step; a second Ctrl-C stops at once\n";
    const int saved = errno;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) { /* nobody to tell */
    }
    errno = saved;
}

}  // namespace

InterruptGuard::InterruptGuard() {
    interrupts = 0;
    flag = false;
    struct sigaction action {};
    action.sa_handler = handle;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, &old_pipe);
}

InterruptGuard::~InterruptGuard() {
    sigaction(SIGINT, &old_int, nullptr);
    sigaction(SIGTERM, &old_term, nullptr);
    sigaction(SIGPIPE, &old_pipe, nullptr);
}

bool InterruptGuard::requested() { return flag; }

void stop_if_requested(const char* what) {
    if (InterruptGuard::requested()) fail(ErrorKind::interrupted, "stopped while {}", what);
}

}  // namespace nascent
