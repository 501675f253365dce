// A held-out set taken from the training pictures, a number of each class, to search on without the validation set.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nascent {

/// separate: held-out pictures are not trained on. from_train: they stay in the training set as well, for data sets
/// whose classes are too small to lose any; what is measured on them is then no measure of generalisation.
enum class HoldOutPolicy { separate, from_train };

struct HoldOut {
    std::vector<std::uint32_t> train, held;  // places in the training set, ascending
    std::string warning;                     // "" or what the user must be told
};

/// `per_class` pictures of each class, drawn by (seed, class) without replacement. from_train takes all of a class that
/// has fewer. Throws Error(usage) unless per_class >= 1, and with `separate` Error(data) that names the classes which
/// would have no picture left to train on.
HoldOut hold_out(std::span<const int> labels, std::span<const std::string> class_names, int per_class,
                 std::uint64_t seed, HoldOutPolicy policy);

}  // namespace nascent
