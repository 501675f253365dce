// What the tests of searches by gradients share.
#pragma once
#include <string>

#include "nas/data/dataset.h"

namespace nascent::test {

/// As many pictures as a data set has, of one pixel.
inline Dataset as_large_as(const std::string& name, int classes, int count) {
    Dataset set;
    set.name = name;
    set.classes = classes;
    set.train.height = set.train.width = 1;
    for (int i = 0; i < count; i++) set.train.labels.push_back(i % classes);
    set.train.pixels.resize(set.train.count() * 3);
    return set;
}

}  // namespace nascent::test
