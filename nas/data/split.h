// Which training pictures a run uses.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "nas/data/dataset.h"

namespace nascent {

/// NAS-Bench-201's halves of CIFAR-10's 50,000 training pictures (its configs/nas-benchmark/cifar-split.txt), each
/// sorted. Made as the file was: Python's random.seed(1021), shuffle of 0..49999, first half train, second half valid.
struct Nb201Split {
    std::vector<std::uint32_t> train, valid;  // (25000) each
};
Nb201Split nb201_split();

/// `auto | nb201 | all`: the places in set.train a search trains on. auto: nb201 where the set has exactly 50,000
/// training pictures of 10 classes, else all. Throws Error(usage) on another name, or when nb201 is asked of a set that
/// has another number of pictures.
std::vector<std::uint32_t> training_ids(const std::string& split, const Dataset& set);

}  // namespace nascent
