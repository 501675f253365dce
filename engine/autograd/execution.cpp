#include "engine/autograd/execution.h"

#include <utility>

namespace nascent {
namespace {
thread_local Arena* arena = nullptr;
thread_local Tape* tape = nullptr;
thread_local bool reference = false;
thread_local Segments* segments = nullptr;
thread_local Slots* slots = nullptr;
}  // namespace

ExecutionScope::ExecutionScope(Arena& a) : before_(std::exchange(arena, &a)) {}
ExecutionScope::~ExecutionScope() { arena = before_; }
TapeScope::TapeScope(Tape* t) : before_(std::exchange(tape, t)) {}
TapeScope::~TapeScope() { tape = before_; }
CapturedScope::CapturedScope(Segments* s, Slots* p)
    : segments_before_(std::exchange(segments, s)), slots_before_(std::exchange(slots, p)) {}
CapturedScope::~CapturedScope() {
    segments = segments_before_;
    slots = slots_before_;
}
BlockScope::BlockScope(std::size_t block) {
    if (slots) execution_.emplace(slots->at(block));
}
ReferenceScope::ReferenceScope() : before_(std::exchange(reference, true)) {}
ReferenceScope::~ReferenceScope() { reference = before_; }

Arena& current_arena() {
    NASCENT_CHECK(arena, runtime, "an op ran outside an ExecutionScope");
    return *arena;
}
Tape* current_tape() { return tape; }
Segments* current_segments() { return segments; }
bool use_reference() { return reference; }

}  // namespace nascent
