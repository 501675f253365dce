#include "kernels/simt/fiber.h"

#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#include <new>

#include "kernels/simt/sanitizers.h"

namespace nascent::simt {

static constexpr std::size_t kGuard = 4096, kStack = 128 * 1024;

#ifdef __x86_64__
// Saves the callee-saved registers on the old stack and its pointer in *from, and restores the same from `to`. It
// leaves by jmp, since ret would miss the return predictor every time (6 ns a switch, not 20; swapcontext takes 550).
extern "C" void nascent_simt_switch(void** from, void* to);
asm(R"(
.text
.globl nascent_simt_switch
.hidden nascent_simt_switch
.type nascent_simt_switch, @function
nascent_simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rdx
    jmp *%rdx
.size nascent_simt_switch, .-nascent_simt_switch
)");
#endif

Fiber::Fiber(void (*entry)()) {
    void* p =
        mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    stack_ = static_cast<char*>(p);
    mprotect(stack_, kGuard, PROT_NONE);
    asan_bottom_ = stack_ + kGuard;
    asan_size_ = kStack;
#ifdef __x86_64__
    // Stacks that all start at one offset in a page would fight for one cache set.
    static thread_local unsigned color = 0;
    auto* top = reinterpret_cast<std::uintptr_t*>(stack_ + kGuard + kStack - color++ % 16 * 256);
    *--top = 0;                                        // keeps the stack 16-byte aligned at entry
    *--top = reinterpret_cast<std::uintptr_t>(entry);  // where the switch jumps to
    for (int i = 0; i < 6; i++) *--top = 0;            // six callee-saved registers
    sp_ = top;
#else
    auto* context = new ucontext_t;
    getcontext(context);
    context->uc_stack.ss_sp = stack_ + kGuard;
    context->uc_stack.ss_size = kStack;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    sp_ = context;
#endif
    if constexpr (kRaces) tsan_ = __tsan_create_fiber(0);
}

Fiber::~Fiber() {
#ifndef __x86_64__
    delete static_cast<ucontext_t*>(sp_);
#endif
    if (!stack_) return;
    if constexpr (kRaces) __tsan_destroy_fiber(tsan_);
    ASAN_UNPOISON_MEMORY_REGION(stack_ + kGuard, kStack);  // frames that were abandoned; the addresses are used again
    munmap(stack_, kGuard + kStack);
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
    if constexpr (kAddresses) __sanitizer_start_switch_fiber(&from.asan_fake_, to.asan_bottom_, to.asan_size_);
    if constexpr (kRaces) {
        if (!from.tsan_) from.tsan_ = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(to.tsan_, __tsan_switch_to_fiber_no_sync);  // orders nothing, so that races stay visible
    }
#ifdef __x86_64__
    nascent_simt_switch(&from.sp_, to.sp_);
#else
    if (!from.sp_) from.sp_ = new ucontext_t;
    swapcontext(static_cast<ucontext_t*>(from.sp_), static_cast<ucontext_t*>(to.sp_));
#endif
    if constexpr (kAddresses) __sanitizer_finish_switch_fiber(from.asan_fake_, nullptr, nullptr);
}

void Fiber::on_entry([[maybe_unused]] Fiber& first) {
    if constexpr (kAddresses) {
        const bool known = first.asan_bottom_;
        __sanitizer_finish_switch_fiber(nullptr, known ? nullptr : &first.asan_bottom_,
                                        known ? nullptr : &first.asan_size_);
    }
}

}  // namespace nascent::simt
