// What the current thread computes with: the device and arena of the step, and the tape that records it. The only
// thread-wide state there is; set by scopes, restored by their end.
#pragma once
#include <optional>

#include "engine/autograd/segments.h"
#include "engine/memory/slots.h"

namespace nascent {

/// Ops run on `arena`'s device and put their outputs and saved tensors into it while this lives.
class ExecutionScope {
  public:
    explicit ExecutionScope(Arena& arena);
    ~ExecutionScope();
    ExecutionScope(const ExecutionScope&) = delete;
    ExecutionScope& operator=(const ExecutionScope&) = delete;

  private:
    Arena* before_;
};

/// Op calls are replayed from captures while this lives, and the blocks of a network have fixed places. Null: they are
/// not.
class CapturedScope {
  public:
    CapturedScope(Segments* segments, Slots* slots);
    ~CapturedScope();
    CapturedScope(const CapturedScope&) = delete;
    CapturedScope& operator=(const CapturedScope&) = delete;

  private:
    Segments* segments_before_;
    Slots* slots_before_;
};

/// What is allocated while this lives belongs to a network's block of that number; no effect outside a CapturedScope.
class BlockScope {
  public:
    explicit BlockScope(std::size_t block);

  private:
    std::optional<ExecutionScope> execution_;
};

/// Ops are recorded on `tape` while this lives (and run in its arena); a null tape records nothing.
class TapeScope {
  public:
    explicit TapeScope(Tape* tape);
    ~TapeScope();
    TapeScope(const TapeScope&) = delete;
    TapeScope& operator=(const TapeScope&) = delete;

  private:
    Tape* before_;
};

/// Fused ops run as their reference(), a composition of primitive ops, while this lives: the specification they must
/// equal.
class ReferenceScope {
  public:
    ReferenceScope();
    ~ReferenceScope();
    ReferenceScope(const ReferenceScope&) = delete;
    ReferenceScope& operator=(const ReferenceScope&) = delete;

  private:
    bool before_;
};

/// The arena of the innermost ExecutionScope; throws Error(runtime) outside one.
Arena& current_arena();
Tape* current_tape();
Segments* current_segments();
bool use_reference();

/// An uninitialised tensor in the current arena.
inline Tensor empty(const Shape& shape, DType dtype) { return current_arena().tensor(shape, dtype); }

}  // namespace nascent
