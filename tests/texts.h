// What tests look for in texts, and in the errors they provoke.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace nascent::test {

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// How often `part` stands in `text`, overlaps too.
inline int count_of(std::string_view text, std::string_view part) {
    int n = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
    return n;
}

/// What `f` throws, "" where it throws nothing; the kind must be the one given.
template <class F>
std::string error_of(ErrorKind kind, F&& f) {
    try {
        f();
    } catch (const Error& e) {
        CHECK(e.kind() == kind);
        return e.what();
    }
    return "";
}

}  // namespace nascent::test
