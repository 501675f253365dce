// All mutants of scripts/mutate.py in one build: every changed spot asks whether it is the active one. Included only by
// the copies that the script makes.
//
// `a + b` becomes `a + (mutant::plus<7, 8>) + b`, which keeps precedence and evaluation order: mutant 7 computes a - b,
// mutant 8 computes a. In constant expressions nothing is changed, and such spots count as not reached.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <utility>

#define MUTANT_INLINE [[gnu::always_inline]] constexpr

namespace mutant {

inline int number(const char* name) {
    const char* text = std::getenv(name);
    return text ? std::atoi(text) : 0;
}
/// The active mutant; 0 is the original program, -1 the original that records which spots it passes.
inline const int active = number("NASCENT_MUTANT");
inline char reached[1 << 19];

struct Recorder {
    ~Recorder() {
        if (active != -1) return;
        std::FILE* file = std::fopen(std::getenv("NASCENT_MUTANTS_REACHED"), "a");
        for (unsigned i = 0; i < sizeof reached; i++)
            if (reached[i]) std::fprintf(file, "%u\n", i);
        std::fclose(file);
    }
};
inline Recorder recorder;

MUTANT_INLINE bool on(int id) {
    if (std::is_constant_evaluated()) return false;
    if (active == -1) __atomic_store_n(&reached[id], 1, __ATOMIC_RELAXED);
    return id != 0 && active == id;
}
/// The mutant would not compile.
[[noreturn]] inline void invalid() { std::_Exit(77); }

// Binary operators. The left operand meets the marker first and the right one the pair of both.
template <int Id, int Drop>
struct Plus {};
template <int Id, int Drop>
struct Minus {};
template <int Drop>
struct Times {};
template <int Id>
struct Less {};
template <int Id>
struct Greater {};
template <int Id>
struct Equal {};
template <int Id>
struct Add {};
template <int Id>
struct Subtract {};
template <int Id, int Drop>
inline constexpr Plus<Id, Drop> plus{};
template <int Id, int Drop>
inline constexpr Minus<Id, Drop> minus{};
template <int Drop>
inline constexpr Times<Drop> times{};
template <int Id>
inline constexpr Less<Id> less{};
template <int Id>
inline constexpr Greater<Id> greater{};
template <int Id>
inline constexpr Equal<Id> equal{};
template <int Id>
inline constexpr Add<Id> add{};
template <int Id>
inline constexpr Subtract<Id> subtract{};

template <class Marker, class A>
struct Half {
    A&& operand;
};

#define MUTANT_BINARY(MARKER, OP, OTHER)                                                           \
    template <class A, int Id, int Drop>                                                           \
    MUTANT_INLINE Half<MARKER<Id, Drop>, A> operator OP(A&& a, MARKER<Id, Drop>) {                 \
        return {std::forward<A>(a)};                                                               \
    }                                                                                              \
    template <class A, int Id, int Drop, class B>                                                  \
    MUTANT_INLINE auto operator OP(Half<MARKER<Id, Drop>, A> a, B&& b)                             \
        ->decltype(std::declval<A>() OP std::declval<B>()) {                                       \
        using R = decltype(std::declval<A>() OP std::declval<B>());                                \
        if (on(Id)) {                                                                              \
            if constexpr (requires { static_cast<R>(std::declval<A>() OTHER std::declval<B>()); }) \
                return static_cast<R>(std::forward<A>(a.operand) OTHER std::forward<B>(b));        \
            else                                                                                   \
                invalid();                                                                         \
        }                                                                                          \
        if (Drop != 0 && on(Drop)) {                                                               \
            if constexpr (requires { static_cast<R>(std::declval<A>()); })                         \
                return static_cast<R>(std::forward<A>(a.operand));                                 \
            else                                                                                   \
                invalid();                                                                         \
        }                                                                                          \
        return std::forward<A>(a.operand) OP std::forward<B>(b);                                   \
    }
MUTANT_BINARY(Plus, +, -)
MUTANT_BINARY(Minus, -, +)
#undef MUTANT_BINARY

template <class A, int Drop>
MUTANT_INLINE Half<Times<Drop>, A> operator*(A&& a, Times<Drop>) {
    return {std::forward<A>(a)};
}
template <class A, int Drop, class B>
MUTANT_INLINE auto operator*(Half<Times<Drop>, A> a, B&& b) -> decltype(std::declval<A>() * std::declval<B>()) {
    using R = decltype(std::declval<A>() * std::declval<B>());
    if (on(Drop)) return static_cast<R>(std::forward<A>(a.operand));
    return std::forward<A>(a.operand) * std::forward<B>(b);
}

#define MUTANT_COMPARISON(MARKER, OP, OTHER)                                                          \
    template <class A, int Id>                                                                        \
    MUTANT_INLINE Half<MARKER<Id>, A> operator OP(A&& a, MARKER<Id>) {                                \
        return {std::forward<A>(a)};                                                                  \
    }                                                                                                 \
    template <class A, int Id, class B>                                                               \
    MUTANT_INLINE bool operator OP(Half<MARKER<Id>, A> a, B&& b) {                                    \
        if (on(Id)) {                                                                                 \
            if constexpr (requires { static_cast<bool>(std::declval<A>() OTHER std::declval<B>()); }) \
                return std::forward<A>(a.operand) OTHER std::forward<B>(b);                           \
            else                                                                                      \
                invalid();                                                                            \
        }                                                                                             \
        return std::forward<A>(a.operand) OP std::forward<B>(b);                                      \
    }
MUTANT_COMPARISON(Less, <, <=)
MUTANT_COMPARISON(Greater, >, >=)
MUTANT_COMPARISON(Equal, ==, !=)
#undef MUTANT_COMPARISON

// Assignments group from the right: a += (marker += b).
#define MUTANT_ASSIGNMENT(MARKER, OP, OTHER)                                       \
    template <int Id, class B>                                                     \
    MUTANT_INLINE Half<MARKER<Id>, B> operator OP(MARKER<Id>, B&& b) {             \
        return {std::forward<B>(b)};                                               \
    }                                                                              \
    template <class A, int Id, class B>                                            \
    MUTANT_INLINE void operator OP(A&& a, Half<MARKER<Id>, B> b) {                 \
        if (on(Id)) {                                                              \
            if constexpr (requires { std::declval<A>() OTHER std::declval<B>(); }) \
                std::forward<A>(a) OTHER std::forward<B>(b.operand);               \
            else                                                                   \
                invalid();                                                         \
        } else {                                                                   \
            std::forward<A>(a) OP std::forward<B>(b.operand);                      \
        }                                                                          \
    }
MUTANT_ASSIGNMENT(Add, +=, -=)
MUTANT_ASSIGNMENT(Subtract, -=, +=)
#undef MUTANT_ASSIGNMENT

template <int Id>
MUTANT_INLINE bool flip(bool condition) {
    return on(Id) ? !condition : condition;
}
template <int Id, class X>
MUTANT_INLINE X shift(const X& index) {
    if (on(Id)) {
        if constexpr (requires { static_cast<X>(index + 1); })
            return static_cast<X>(index + 1);
        else
            invalid();
    }
    return index;
}

}  // namespace mutant

#undef MUTANT_INLINE
// Names of the place where they stand, for one vector width each.
#define MUTANT_MULADD(ID, ...) (mutant::on(ID) ? hn::NegMulAdd(__VA_ARGS__) : hn::MulAdd(__VA_ARGS__))
#define MUTANT_MAX(ID, ...) (mutant::on(ID) ? hn::Min(__VA_ARGS__) : hn::Max(__VA_ARGS__))
