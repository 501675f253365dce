// stdin, stdout and stderr as a program that writes files must treat them.
#pragma once

namespace nascent {

/// Opens those of the three that the program was started without: their numbers would go to the next files opened,
/// which then got what is meant for people. Call it first.
void open_standard_streams();

/// Throws Error(runtime) if anything written to stdout so far did not arrive (a full disk, a reader that is gone).
void check_stdout();

}  // namespace nascent
