// From bytes to network input: (value / 255 - mean) / std per channel.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "nas/data/dataset.h"

namespace nascent {

/// Mean and standard deviation of R, G, B on the scale 0..1.
struct Normalisation {
    std::string name;
    std::array<double, 3> mean, std;
};

/// `auto | cifar10 | cifar10-darts | cifar100 | imagenet16 | imagenet | half`. The cifar and imagenet16 constants are
/// those of NAS-Bench-201 (arXiv:2001.00326; its code's get_dataset_with_transform), cifar10-darts's are DARTS's,
/// imagenet's are torchvision's, half is mean 0.5 and std 0.5. auto: by the kind of data set; a folder or pack whose
/// classes are named as CIFAR-10's takes cifar10, any other imagenet; synthetic takes half. Throws Error(usage) on any
/// other name.
Normalisation normalisation(const std::string& name, const Dataset& set);

/// (256, 3): what each byte of each channel becomes; computed in double, rounded once.
template <class T>
using NormalisationTable = std::array<std::array<T, 3>, 256>;
template <class T>
NormalisationTable<T> normalisation_table(const Normalisation& norm);

}  // namespace nascent
