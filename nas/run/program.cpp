#include "nas/run/program.h"

#include <cstdio>
#include <new>

#include "engine/base/error.h"
#include "nas/run/standard_streams.h"

namespace nascent {

int run_program(const char* name, int (*run)(int, char**), int argc, char** argv) {
    try {
        open_standard_streams();
        const int code = run(argc, argv);
        check_stdout();
        return code;
    } catch (const Error& e) {
        std::fprintf(stderr, "%s: %s\n", name, e.what());
        return e.exit_code();
    } catch (const std::bad_alloc&) {
        std::fprintf(stderr, "%s: out of memory\n", name);
        return static_cast<int>(ErrorKind::device);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: %s\n", name, e.what());
        return static_cast<int>(ErrorKind::runtime);
    }
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace nascent
