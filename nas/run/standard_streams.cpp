#include "nas/run/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/base/error.h"

namespace nascent {

void open_standard_streams() {
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        // For reading also where stdout should be: a result that nobody gets is an error. The lowest number is taken.
        const int opened = ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
        NASCENT_CHECK(opened == fd, runtime, "/dev/null: cannot open: {}", std::strerror(errno));
    }
}

void check_stdout() {
    errno = 0;
    const bool arrived = std::fflush(stdout) == 0 && !std::ferror(stdout);
    NASCENT_CHECK(arrived, runtime, "stdout: cannot write the result: {}", std::strerror(errno));
}

}  // namespace nascent
