// Errors: one exception type that carries the exit code and the scope it happened in.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace nascent {

/// What went wrong; the value is the exit code an app returns for it.
enum class ErrorKind {
    runtime = 1,
    usage = 2,
    data = 3,
    checkpoint = 4,
    device = 5,
    verification = 6,
    interrupted = 75
};

/// The only exception the library throws. `what()` is "scope / scope: message".
class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, const std::string& message);
    ErrorKind kind() const { return kind_; }
    int exit_code() const { return static_cast<int>(kind_); }

  private:
    ErrorKind kind_;
};

/// Names what the current thread is doing while it lives: `Scope s("cell {}", 3);`. Errors thrown inside carry it.
class Scope {
  public:
    template <class... Args>
    explicit Scope(fmt::format_string<Args...> format, Args&&... args) {
        push(fmt::format(format, std::forward<Args>(args)...));
    }
    ~Scope() { pop(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    /// "outer / inner", empty outside every scope.
    static std::string current();

  private:
    static void push(std::string name);
    static void pop();
};

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
    throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nascent

/// Throws an Error of the given kind unless `condition` holds: NASCENT_CHECK(n > 0, data, "{}: no pictures", path).
#define NASCENT_CHECK(condition, kind, ...)                                         \
    do {                                                                            \
        if (!(condition)) ::nascent::fail(::nascent::ErrorKind::kind, __VA_ARGS__); \
    } while (false)
