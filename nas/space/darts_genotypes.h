// Published cells as data.
#pragma once
#include <span>
#include <string_view>

#include "nas/space/darts.h"

namespace nascent::darts {

enum class Family {
    convolutional,  // text for parse_genotype
    recurrent,      // text for parse_recurrent
    nasbench201,    // text for nb201::parse_cell
};

struct Published {
    std::string_view name;  // in the code that published it; unique in its family
    std::string_view also;  // another name for the same cell, or empty
    Family family;
    std::string_view origin;  // who found it, on what
    std::string_view text;    // canonical
};

std::span<const Published> published_cells();

/// The convolutional cell of that name. Throws ErrorKind::usage with the nearest name.
Genotype published_genotype(std::string_view name);
/// A published name, or text for parse_genotype; spaces and quotation marks around either are forgiven.
Genotype genotype_from(std::string_view name_or_text);

}  // namespace nascent::darts
