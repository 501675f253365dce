// What all programs' main() do around their work.
#pragma once
#include <string>

namespace nascent {

/// Runs `run(argc, argv)` with the standard streams opened and stdout checked; says what went wrong on stderr as
/// "NAME: ..." and returns the exit code.
int run_program(const char* name, int (*run)(int, char**), int argc, char** argv);

/// Text to stdout as it is.
void print(const std::string& text);

}  // namespace nascent
