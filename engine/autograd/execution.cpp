#include "engine/autograd/execution.h"

#include <utility>

namespace nascent {
namespace {
thread_local Arena* arena = nullptr;
thread_local Tape* tape = nullptr;
thread_local bool reference = false;
}  // namespace

ExecutionScope::ExecutionScope(Arena& a) : before_(std::exchange(arena, &a)) {}
ExecutionScope::~ExecutionScope() { arena = before_; }
TapeScope::TapeScope(Tape* t) : before_(std::exchange(tape, t)) {}
TapeScope::~TapeScope() { tape = before_; }
ReferenceScope::ReferenceScope() : before_(std::exchange(reference, true)) {}
ReferenceScope::~ReferenceScope() { reference = before_; }

Arena& current_arena() {
    NASCENT_CHECK(arena, runtime, "an op ran outside an ExecutionScope");
    return *arena;
}
Tape* current_tape() { return tape; }
bool use_reference() { return reference; }

}  // namespace nascent
