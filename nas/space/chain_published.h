// Architectures of chains that papers and their code name, as data.
#pragma once
#include <span>
#include <string_view>

#include "nas/space/chain.h"

namespace nascent::chain {

struct Published {
    std::string_view name;    // unique in its family
    std::string_view also;    // another name, or empty
    std::string_view space;   // where it was found; other variants of the family may have it too, see in_space()
    std::string_view origin;  // who found it
    std::string_view text;    // canonical
};

std::span<const Published> published_architectures();
/// Whether the text of `p` is an architecture of the space.
bool in_space(const Published& p, const Space& space);

/// The architecture of that name in `space`. Throws ErrorKind::usage with the nearest name.
Architecture published_architecture(const Space& space, std::string_view name);
/// A published name, or text for parse_architecture; blanks and quotation marks around either are forgiven.
Architecture architecture_from(const Space& space, std::string_view name_or_text);
/// The published name of an architecture, or an empty one.
std::string_view published_name(const Space& space, const Architecture& arch);

}  // namespace nascent::chain
