// "Did you mean": the known name nearest to what was written.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace nascent {

/// The name with the fewest insertions, deletions and replacements of a letter, the first of equals; empty for no
/// names.
std::string_view nearest_name(std::string_view written, std::span<const std::string_view> names);

/// Which of the names it is. Throws Error(usage), "no KIND is called 'NAME'; nearest: ...", if it is none of them.
std::size_t index_of_name(std::string_view kind, std::string_view name, std::span<const std::string_view> names);

/// Without white space, quotes and backquotes around it.
std::string_view without_quotes(std::string_view text);

}  // namespace nascent
